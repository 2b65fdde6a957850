use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::rating::{AppealInput, Review};
use bookworm_http::{ApiJson, ApiPath, Origin, Result, Validator, auth::Signed, openapi::ProblemResponses};
use uuid::Uuid;

use super::{shown, shown::Viewer};
use crate::service::{Actor, Change, Ratings};

/// Asks staff to decide again
///
/// For the author of a review that waits, is held or is hidden; once for each decision (`invalid_review_state`).
#[utoipa::path(
    post, path = "/reviews/{id}/appeal", tag = "rating", request_body = AppealInput,
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, description = "The review", body = Review,
        headers(("ETag" = String, description = "Its version"))), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn appeal_review(
    State(service): State<Arc<Ratings>>,
    Signed(account): Signed,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(appeal): ApiJson<AppealInput>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let text = valid.multiline("/text", &appeal.text, 1..=1000);
    valid.finish()?;
    let change = Change { id, by: Actor::Author(account.id), cause, if_match: None };
    let appealed = service.change(change, move |row, review| {
        row.appeal = Some(text);
        Ok(review.appeal()?)
    });
    Ok(shown::answer(appealed.await?, Viewer::Account(account.id))?)
}
