use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::rating::Review;
use bookworm_http::{ApiPath, Problem, Result, auth::Caller, openapi::ProblemResponses};
use uuid::Uuid;

use super::{shown, shown::Viewer};
use crate::{
    domain::Status,
    service::Ratings,
    store::reviews::{self, Row},
};

/// One review
///
/// One that is not published is there for its author and for staff only; they also see where it stands.
#[utoipa::path(
    get, path = "/reviews/{id}", tag = "rating",
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 200, description = "The review", body = Review,
        headers(("ETag" = String, description = "Its version"))), ProblemResponses)
)]
pub(crate) async fn read_review(
    State(service): State<Arc<Ratings>>,
    caller: Caller,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Response> {
    let viewer = Viewer::from(&caller);
    Ok(shown::answer(find(&service, id, viewer).await?, viewer)?)
}

/// A review that the viewer may see.
pub(super) async fn find(service: &Ratings, id: Uuid, viewer: Viewer) -> Result<Row> {
    let row = reviews::find(service.db.read(), id).await?.ok_or_else(|| Problem::not_found("review"))?;
    let seen = match row.status()? {
        Status::Published => true,
        Status::Waiting | Status::Held | Status::Hidden => viewer.sees_standing_of(&row),
        Status::Deleted => false,
    };
    if seen { Ok(row) } else { Err(Problem::not_found("review")) }
}
