//! What somebody without an account does with the link of a mail.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::rating::{Invitation, InvitationCheck, InvitedBook};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ApiQuery, Problem, Result, openapi::ProblemResponses};
use bookworm_kernel::FieldError;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shown::{self, Viewer};
use crate::{
    domain::{InviteToken, Status},
    service::Ratings,
    store::{
        invitations::{self, Found},
        reviews,
    },
};

/// The invitation with this token.
///
/// # Errors
/// 400 `validation_failed` for `/token` when there is none.
async fn find(service: &Ratings, token: &str) -> Result<Found> {
    let worthless = || Problem::validation(vec![FieldError::new("/token", "is none of ours")]);
    let hash = InviteToken::parse(token).ok_or_else(worthless)?.hash();
    invitations::by_token(service.db.read(), hash).await?.ok_or_else(worthless)
}

/// The invitation with this token, while reviews are taken with it.
///
/// # Errors
/// As [`find`], also when it has expired.
pub(super) async fn in_time(service: &Ratings, token: &str) -> Result<Found> {
    let found = find(service, token).await?;
    if found.expires_at <= service.now() {
        return Err(Problem::validation(vec![FieldError::new("/token", "has expired")]));
    }
    Ok(found)
}

/// What the link of a mail asks for
///
/// The books of the order, each with the review that was written of it. A link that has expired, or none of ours, is
/// `validation_failed` for `/token`.
#[utoipa::path(
    post, path = "/review-invitations/check", tag = "rating", request_body = InvitationCheck,
    responses((status = 200, description = "The invitation", body = Invitation), ProblemResponses)
)]
pub(crate) async fn check_invitation(
    State(service): State<Arc<Ratings>>,
    ApiJson(request): ApiJson<InvitationCheck>,
) -> Result<ApiJson<Invitation>> {
    let found = in_time(&service, &request.token).await?;
    let mut books = Vec::with_capacity(found.books.len());
    for book in found.books {
        let row = reviews::find_of(service.db.read(), book.book_id, found.reader).await?;
        let row = match row {
            Some(row) if row.status()? != Status::Deleted => Some(row),
            _ => None,
        };
        let review = row.map(|row| shown::review(row, Viewer::Account(found.reader))).transpose()?;
        books.push(InvitedBook { book_id: book.book_id, title: book.title, review });
    }
    Ok(ApiJson(Invitation { author: found.author_name, books, expires_at: found.expires_at }))
}

/// The link of a mail.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Link {
    /// What the mail has.
    #[param(max_length = 64)]
    token: String,
}

/// Ends invitations to review for the mailbox that a mail went to
///
/// One request is enough, whatever its body says, as programs for mail send it (RFC 8058). It works after the links for
/// reviews have expired, and a repeat changes nothing.
#[utoipa::path(
    post, path = "/review-invitations/unsubscribe", tag = "rating", params(Link),
    responses((status = 204, description = "No further invitation is sent there"), ProblemResponses)
)]
pub(crate) async fn unsubscribe(
    State(service): State<Arc<Ratings>>,
    ApiQuery(link): ApiQuery<Link>,
) -> Result<StatusCode> {
    let (found, now) = (find(&service, &link.token).await?, service.now());
    let done = service.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move { invitations::unsubscribe(tx, found.mailbox, now).await })
    });
    done.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leads people who open that address to the page that asks them
#[utoipa::path(
    get, path = "/review-invitations/unsubscribe", tag = "rating", params(Link),
    responses((status = 303, description = "The page", headers(("Location" = String, description = "Its address"))),
        ProblemResponses)
)]
pub(crate) async fn ask_unsubscribe(ApiQuery(link): ApiQuery<Link>) -> Response {
    // Only digits of a token go on: anything else would be another's words in our address.
    let token = InviteToken::parse(&link.token).map(InviteToken::reveal).unwrap_or_default();
    Redirect::to(&format!("/unsubscribe?token={token}")).into_response()
}
