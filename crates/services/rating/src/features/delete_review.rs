use std::sync::Arc;

use axum::extract::State;
use bookworm_http::{ApiPath, Origin, Result, openapi::ProblemResponses};
use http::StatusCode;
use uuid::Uuid;

use super::author::Author;
use crate::{
    service::{Actor, Change, Ratings, Work, WorkError},
    store::{reports, reviews},
};

/// Takes an account's own review back
///
/// Its words, the name and the shop's answer are deleted; that it was there, and what was decided about it, stays in its
/// events.
#[utoipa::path(
    delete, path = "/reviews/{id}", tag = "rating",
    params(("id" = Uuid, Path, description = "The review"),
        ("Review-Invitation" = Option<String>, Header, description = "The token of an invitation, in place of an account")),
    responses((status = 204, description = "Taken back"), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn delete_review(
    State(service): State<Arc<Ratings>>,
    author: Author,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    let (now, outbox) = (service.now(), service.outbox.clone());
    let change = Change { id, by: Actor::Author(author.id), cause, if_match: None };
    let deleted = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            let mut work = Work::begin(tx, change, now).await?;
            author.may_write_about(work.row.book_id())?;
            reviews::claim_text(tx, id, None).await?;
            reports::decide(tx, id).await?;
            work.row.settle_reports();
            work.row.clear_words();
            let events = work.review.state.delete();
            work.record(tx, &outbox, &events).await
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}
