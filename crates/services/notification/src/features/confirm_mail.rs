//! Somebody proves that an address is theirs.

use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::operations::MailConfirmation;
use bookworm_db::DbError;
use bookworm_http::{ApiJson, Problem, Result, openapi::ProblemResponses};
use bookworm_kernel::FieldError;
use http::StatusCode;

use crate::{domain::link::Token, service::Notification, store::proofs};

/// Proves an address with the link from a mail
///
/// What was written to the address in that conversation is sent now, and what follows in it without asking again. A
/// link that is older than 72 hours, or none of ours, is `validation_failed` for `/token`. Following it again does
/// nothing.
#[utoipa::path(
    post,
    path = "/mail/confirm",
    tag = "chat",
    request_body = MailConfirmation,
    responses((status = 204, description = "The address is proved"), ProblemResponses)
)]
pub async fn confirm_mail(
    State(service): State<Arc<Notification>>,
    ApiJson(request): ApiJson<MailConfirmation>,
) -> Result<StatusCode> {
    let worthless = || Problem::validation(vec![FieldError::new("/token", "has expired: ask for a new link")]);
    let hash = Token::parse(&request.token).ok_or_else(worthless)?.hash();
    let now = service.now();
    let proved = service
        .db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { proofs::prove(tx, &hash, now).await }))
        .await?;
    if !proved {
        return Err(worthless());
    }
    service.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
