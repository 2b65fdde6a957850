use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::rating::{AnswerInput, Review};
use bookworm_http::{ApiJson, ApiPath, Origin, Problem, Result, Validator, auth::StaffOnly, openapi::ProblemResponses};
use http::StatusCode;
use uuid::Uuid;

use super::{shown, shown::Viewer};
use crate::{
    domain::ReviewEvent,
    service::{Actor, Change, Ratings},
};

/// Answers a review for the shop. Staff
///
/// Everybody sees the answer below the review; a new one takes its place. Only a published review is answered
/// (`invalid_review_state`).
#[utoipa::path(
    put, path = "/reviews/{id}/answer", tag = "rating", request_body = AnswerInput,
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, description = "The review", body = Review,
        headers(("ETag" = String, description = "Its version"))), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn answer_review(
    State(service): State<Arc<Ratings>>,
    StaffOnly(account): StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(answer): ApiJson<AnswerInput>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let text = valid.multiline("/text", &answer.text, 1..=2000);
    valid.finish()?;
    let now = service.now();
    let change = Change { id, by: Actor::Staff(account.id), cause, if_match: None };
    let answered = service.change(change, move |row, review| {
        row.set_answer(Some(text), now);
        Ok(review.answer()?)
    });
    Ok(shown::answer(answered.await?, Viewer::Staff)?)
}

/// Takes the shop's answer back. Staff
#[utoipa::path(
    delete, path = "/reviews/{id}/answer", tag = "rating",
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 204, description = "The review has no answer"), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn remove_answer(
    State(service): State<Arc<Ratings>>,
    StaffOnly(account): StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    let now = service.now();
    let change = Change { id, by: Actor::Staff(account.id), cause, if_match: None };
    let removed = service.change(change, move |row, _| {
        if row.answer.is_none() {
            return Err(Problem::not_found("answer").into());
        }
        row.set_answer(None, now);
        Ok(vec![ReviewEvent::AnswerRemoved])
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
