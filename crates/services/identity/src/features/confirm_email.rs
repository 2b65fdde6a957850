use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::{
    events::identity::{EmailConfirmationRequested, EmailConfirmed},
    rest::identity::EmailConfirmation,
};
use bookworm_db::{DbError, Tx};
use bookworm_http::{ApiJson, ClientAddress, Origin, Problem, Result, auth::Signed, openapi::ProblemResponses};
use bookworm_kernel::{Cause, FieldError, Timestamp};
use http::StatusCode;

use super::attempt::too_many;
use crate::{
    domain::{Account, LinkPurpose, RefreshToken},
    service::Identity,
    store,
};

/// The kind of the mail with the link.
pub(crate) const KIND: &str = "confirm_email";

enum Outcome {
    Confirmed,
    Before,
    Worthless,
}

/// Confirms an account's address with the link from a mail
///
/// Nobody needs to be signed in. Following the link again changes nothing. A link that is older than 48 hours, or none
/// of ours, is `validation_failed` for `/token`.
#[utoipa::path(
    post, path = "/identity/confirm-email", tag = "identity", request_body = EmailConfirmation,
    responses((status = 204, description = "The address is confirmed"), ProblemResponses)
)]
pub(crate) async fn confirm_email(
    State(service): State<Arc<Identity>>,
    ClientAddress(address): ClientAddress,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<EmailConfirmation>,
) -> Result<StatusCode> {
    let now = service.now();
    service.addresses().attempt(address, now).map_err(too_many)?;
    let worthless = || Problem::validation(vec![FieldError::new("/token", "has expired: ask for a new link")]);
    let hash = RefreshToken::parse(request.token.trim()).ok_or_else(worthless)?.hash();
    let outbox = service.outbox.clone();
    let outcome = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                let Some(id) = store::account_of_link(tx, LinkPurpose::ConfirmEmail, &hash, now).await? else {
                    return Ok(Outcome::Worthless);
                };
                let Some(account) = store::by_id(tx, id).await? else { return Ok(Outcome::Worthless) };
                if !store::confirm_email(tx, id, now).await? {
                    return Ok(Outcome::Before);
                }
                let event = EmailConfirmed { customer_id: id, email: account.email, name: account.name };
                outbox.put(tx, &cause, &event).await?;
                tx.after_commit(move || tracing::info!(security = true, account_id = %id, "an address was confirmed"));
                Ok(Outcome::Confirmed)
            })
        })
        .await?;
    match outcome {
        Outcome::Worthless => Err(worthless()),
        Outcome::Confirmed | Outcome::Before => {
            service.addresses().succeeded(address);
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// Sends the link that confirms the caller's address again
///
/// `too_many_requests` with `Retry-After` beyond a limit. An address that is confirmed already gets no mail.
#[utoipa::path(
    post, path = "/identity/me/confirm-email", tag = "identity",
    responses((status = 202, description = "The mail is on its way"), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn send_again(
    State(service): State<Arc<Identity>>,
    Signed(caller): Signed,
    from: ClientAddress,
    Origin(cause): Origin,
) -> Result<StatusCode> {
    let account = service.account(caller.id).await?;
    if account.email_confirmed {
        return Ok(StatusCode::ACCEPTED);
    }
    service.clients.may_mail(KIND, from, &account.email, false, &cause).await?;
    let (outbox, now) = (service.outbox.clone(), service.now());
    service
        .db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { ask(tx, &outbox, &account, &cause, now).await }))
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// Makes a link and has it mailed.
pub(crate) async fn ask(
    tx: &Tx,
    outbox: &bookworm_messaging::Outbox,
    account: &Account,
    cause: &Cause,
    now: Timestamp,
) -> std::result::Result<(), DbError> {
    let token = RefreshToken::new();
    store::insert_link(tx, LinkPurpose::ConfirmEmail, &token.hash(), account.id, now).await?;
    let event = EmailConfirmationRequested {
        customer_id: account.id,
        email: account.email.clone(),
        token: token.reveal(),
        hours: (LinkPurpose::ConfirmEmail.valid_for().as_secs() / 3600) as u32,
    };
    outbox.put(tx, cause, &event).await?;
    Ok(())
}
