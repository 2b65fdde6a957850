use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::rating::{Review, ReviewInput};
use bookworm_http::{ApiJson, ApiPath, IfMatch, Origin, Result, openapi::ProblemResponses};
use uuid::Uuid;

use super::{author::Author, input, shown, shown::Viewer, write_review::found};
use crate::service::{Actor, Change, Ratings, Work, WorkError};

/// Replaces an account's own review
///
/// What is left out is taken away. The new words are checked as those of a new review are; a review that staff hid waits
/// for them again. The shop's answer and the votes stay.
#[utoipa::path(
    put, path = "/reviews/{id}", tag = "rating", request_body = ReviewInput,
    params(("id" = Uuid, Path, description = "The review"),
        ("Review-Invitation" = Option<String>, Header, description = "The token of an invitation, in place of an account"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
    responses((status = 200, description = "The review as it is now", body = Review,
        headers(("ETag" = String, description = "Its version"))), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn edit_review(
    State(service): State<Arc<Ratings>>,
    author: Author,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<Uuid>,
    if_match: IfMatch,
    ApiJson(input): ApiJson<ReviewInput>,
) -> Result<Response> {
    let (stars, words) = input::check(&input)?;
    let (viewer, now, outbox) = (Viewer::Account(author.id), service.now(), service.outbox.clone());
    let change = Change { id, by: Actor::Author(author.id), cause, if_match: Some(if_match) };
    let edited = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            let mut work = Work::begin(tx, change, now).await?;
            author.may_write_about(work.row.book_id())?;
            let found = found(tx, &work.row, &words).await?;
            work.row.author_name = author.public_name;
            work.row.set_words(words);
            let events = work.review.state.edit(stars, found);
            work.record(tx, &outbox, &events).await?;
            Ok(work.row)
        })
    });
    Ok(shown::answer(edited.await?, viewer)?)
}
