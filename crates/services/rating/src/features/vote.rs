use std::sync::Arc;

use axum::extract::State;
use bookworm_db::Tx;
use bookworm_http::{ApiPath, Problem, Result, auth::Signed, openapi::ProblemResponses};
use bookworm_kernel::{CustomerId, ErrorCode, Timestamp};
use http::StatusCode;
use uuid::Uuid;

use crate::{
    domain::Status,
    service::{Ratings, WorkError, count_change},
    store::{reviews, votes},
};

/// Says that a review helped
///
/// One vote for each account; a repeat changes nothing. Nobody votes for their own (`forbidden`).
#[utoipa::path(
    put, path = "/reviews/{id}/helpful", tag = "rating",
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 204, description = "The vote counts"), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn vote_helpful(
    State(service): State<Arc<Ratings>>,
    Signed(account): Signed,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    let (reader, now) = (account.id, service.now());
    let voted = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            foreign(tx, id, reader, now).await?;
            Ok(votes::add(tx, id, reader, now).await?)
        })
    });
    voted.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the vote back
#[utoipa::path(
    delete, path = "/reviews/{id}/helpful", tag = "rating",
    params(("id" = Uuid, Path, description = "The review")),
    responses((status = 204, description = "No vote of this account counts"), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn withdraw_vote(
    State(service): State<Arc<Ratings>>,
    Signed(account): Signed,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode> {
    let (reader, now) = (account.id, service.now());
    let withdrawn = service.db.transact::<_, WorkError, _>(move |tx| {
        Box::pin(async move {
            foreign(tx, id, reader, now).await?;
            Ok(votes::remove(tx, id, reader).await?)
        })
    });
    withdrawn.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts a change, and locks a published review that somebody else wrote.
pub(super) async fn foreign(tx: &Tx, id: Uuid, reader: CustomerId, now: Timestamp) -> Result<(), WorkError> {
    count_change(tx, reader, now).await?;
    let row = reviews::lock(tx, id).await?.ok_or_else(|| Problem::not_found("review"))?;
    if row.author() == reader && row.status()? != Status::Deleted {
        return Err(Problem::new(ErrorCode::Forbidden).detail("This review is your own.").into());
    }
    if row.status()? != Status::Published {
        return Err(Problem::not_found("review").into());
    }
    Ok(())
}
