use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::rating::{Review, ReviewInput};
use bookworm_db::Tx;
use bookworm_http::{ApiJson, ApiPath, Origin, Problem, Result, openapi::ProblemResponses};
use bookworm_kernel::{BookId, Cause, CustomerId, ErrorCode, Timestamp};
use http::{StatusCode, header};

use super::{author::Author, input, shown, shown::Viewer};
use crate::{
    clients,
    domain::{self, Reason, Stars, Status},
    service::{Actor, Ratings, Work, WorkError, count_change},
    store::{
        readers,
        reviews::{self, Row, Words},
        votes,
    },
};

/// An account that began more reviews than this within [`RATE_WINDOW`] is looked at by a person.
const MOST_NEW: i64 = 5;
const RATE_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Writes a review
///
/// One for each account and book (`duplicate_value`). `verified` when a completed order of the account has the book;
/// then it is seen at once, unless something in it was found: a web or mail address, repetition, or more than 5 reviews
/// within an hour. Everything else waits for staff; `standing` says so. An account makes at most 100 changes to reviews,
/// votes and reports in 24 hours (`too_many_requests`). Who bought without an account writes with the link of the mail
/// that asked for it: its token is the header `Review-Invitation`, and good for the books of that order.
#[utoipa::path(
    post, path = "/books/{id}/reviews", tag = "rating", request_body = ReviewInput,
    params(("id" = BookId, Path, description = "The book"),
        ("Review-Invitation" = Option<String>, Header, description = "The token of an invitation, in place of an account")),
    responses((status = 201, description = "The review", body = Review,
        headers(("Location" = String, description = "The review's address"),
            ("ETag" = String, description = "Its version"))), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn write_review(
    State(service): State<Arc<Ratings>>,
    author: Author,
    Origin(cause): Origin,
    ApiPath(book): ApiPath<BookId>,
    ApiJson(input): ApiJson<ReviewInput>,
) -> Result<Response> {
    let (stars, words) = input::check(&input)?;
    author.may_write_about(book)?;
    // Who bought a book may review it even when it is no longer sold.
    let bought = readers::order_with(service.db.read(), author.id, book).await?.is_some();
    if !bought && !clients::sells(&service.catalog, &cause, book).await? {
        return Err(Problem::not_found("book"));
    }
    let (viewer, ratings) = (Viewer::Account(author.id), service.clone());
    let written = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move { write(tx, &ratings, &cause, book, &author, stars, words).await })
    });
    let row = written.await?;
    let location = format!("/api/v1/reviews/{}", row.id);
    let answer = shown::answer(row, viewer)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], answer).into_response())
}

async fn write(
    tx: &Tx,
    service: &Ratings,
    cause: &Cause,
    book: BookId,
    by: &Author,
    stars: Stars,
    words: Words,
) -> Result<Row, WorkError> {
    let (author, now) = (by.id, service.now());
    count_change(tx, author, now).await?;
    let mut row = match reviews::lock_of(tx, book, author).await? {
        Some(row) if row.status()? != Status::Deleted => {
            return Err(Problem::new(ErrorCode::DuplicateValue)
                .detail("You have reviewed this book already: edit your review.")
                .with("review_id", row.id.to_string())
                .into());
        }
        Some(mut row) => {
            votes::remove_all(tx, row.id).await?;
            row.begin_again(now);
            row
        }
        None => Row::new(book, author, now),
    };
    let found = match found(tx, &row, &words).await? {
        Some(reason) => Some(reason),
        None => too_many(tx, author, now).await?,
    };
    let order = readers::order_with(tx, author, book).await?;
    row.author_name.clone_from(&by.public_name);
    row.set_words(words);
    let mut work = Work::on(tx, row, Actor::Author(author), *cause, now).await?;
    let events = work.review.state.write(book, author, stars, order, found);
    work.record(tx, &service.outbox, &events).await?;
    Ok(work.row)
}

/// What in these words a person should look at. The review takes over its text's fingerprint.
pub(super) async fn found(tx: &Tx, row: &Row, words: &Words) -> Result<Option<Reason>, WorkError> {
    let is_new = reviews::claim_text(tx, row.id, domain::fingerprint(words.text.as_deref())).await?;
    let screened = domain::screen(words.title.as_deref(), words.text.as_deref());
    Ok(screened.or((!is_new).then_some(Reason::Repeated)))
}

async fn too_many(tx: &Tx, author: CustomerId, now: Timestamp) -> Result<Option<Reason>, WorkError> {
    let written = readers::written_since(tx, author, now.minus(RATE_WINDOW)).await?;
    Ok((written >= MOST_NEW).then_some(Reason::Rate))
}
