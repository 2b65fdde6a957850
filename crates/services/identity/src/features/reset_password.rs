use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::{
    events::identity::PasswordResetRequested,
    rest::identity::{PasswordResetCheck, PasswordResetConfirmation, PasswordResetRequest},
};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ClientAddress, Origin, Problem, Result, Validator, openapi::ProblemResponses};
use bookworm_kernel::{Cause, Email, ErrorCode, FieldError};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::attempt::too_many;
use crate::{
    domain::{LinkPurpose, RefreshToken, check_password},
    service::Identity,
    store,
};

/// Why a link does nothing.
const WORTHLESS: &str = "is not good any more: ask for a new link";
/// How many requests are worked on at once; each takes a few milliseconds.
const AT_ONCE: usize = 1000;

/// Asks for a link that sets a new password
///
/// It comes by mail and is good for an hour. The answer is the same, and comes as fast, whether or not there is an
/// account with this address: the work is done after it. An account gets at most three such mails an hour.
#[utoipa::path(
    post, path = "/identity/password-reset", tag = "identity", request_body = PasswordResetRequest,
    responses((status = 202, description = "If there is such an account, a mail is on its way"), ProblemResponses)
)]
pub(crate) async fn request_reset(
    State(service): State<Arc<Identity>>,
    from: ClientAddress,
    Origin(cause): Origin,
    ApiJson(request): ApiJson<PasswordResetRequest>,
) -> Result<StatusCode> {
    let mut valid = Validator::new();
    let email = valid.take("/email", Email::parse(&request.email));
    valid.finish()?;
    service.addresses().attempt(from.0, service.now()).map_err(too_many)?;
    let Some(email) = email else { return Err(ErrorCode::ValidationFailed.into()) };
    if service.tasks.len() >= AT_ONCE {
        return Err(Problem::new(ErrorCode::Unavailable).retry_after(std::time::Duration::from_secs(1)));
    }
    let worker = service.clone();
    service.tasks.spawn(async move {
        if let Err(error) = send_link(&worker, &email, from, &cause).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a link for a new password was not sent");
        }
    });
    Ok(StatusCode::ACCEPTED)
}

/// Lets the links that are being written be written, after `shutdown`.
pub(crate) async fn finish(service: Arc<Identity>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    service.tasks.close();
    service.tasks.wait().await;
}

async fn send_link(service: &Identity, email: &Email, from: ClientAddress, cause: &Cause) -> Result<(), DbError> {
    let Some(account) = store::by_email(service.db.read(), email).await? else { return Ok(()) };
    if let Err(refused) =
        service.clients.may_mail("password_reset", from, &account.email, account.email_confirmed, cause).await
    {
        tracing::info!(security = true, account_id = %account.id, ?refused, "no link for a new password was sent");
        return Ok(());
    }
    let (token, outbox, id, now, cause) =
        (RefreshToken::new(), service.outbox.clone(), account.id, service.now(), *cause);
    let asked = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                if store::open_links(tx, LinkPurpose::SetPassword, id, now).await? >= LinkPurpose::MAX_OPEN {
                    return Ok(false);
                }
                store::insert_link(tx, LinkPurpose::SetPassword, &token.hash(), id, now).await?;
                let event = PasswordResetRequested {
                    customer_id: id,
                    email: account.email,
                    // Until the address is proved, the name may be a stranger's words.
                    name: if account.email_confirmed { account.name } else { String::new() },
                    token: token.reveal(),
                    minutes: (LinkPurpose::SetPassword.valid_for().as_secs() / 60) as u32,
                };
                outbox.put(tx, &cause, &event).await?;
                Ok(true)
            })
        })
        .await?;
    tracing::info!(security = true, account_id = %id, mailed = asked, "a new password was asked for");
    Ok(())
}

fn worthless() -> Problem {
    Problem::validation(vec![FieldError::new("/token", WORTHLESS)])
}

/// Asks whether a link from a mail still sets a new password
///
/// Does nothing with it. A link that was used, is older than an hour or is none of ours is `validation_failed` for
/// `/token`.
#[utoipa::path(
    post, path = "/identity/password-reset/check", tag = "identity", request_body = PasswordResetCheck,
    responses((status = 204, description = "It does"), ProblemResponses)
)]
pub(crate) async fn check_reset(
    State(service): State<Arc<Identity>>,
    ClientAddress(address): ClientAddress,
    ApiJson(request): ApiJson<PasswordResetCheck>,
) -> Result<StatusCode> {
    let now = service.now();
    service.addresses().attempt(address, now).map_err(too_many)?;
    let hash = RefreshToken::parse(&request.token).ok_or_else(worthless)?.hash();
    let account = store::account_of_link(service.db.read(), LinkPurpose::SetPassword, &hash, now).await?;
    account.ok_or_else(worthless)?;
    service.addresses().succeeded(address);
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a new password with a link from a mail
///
/// Ends every session of the account, wherever it is signed in, and confirms its address. A link that was used, is older
/// than an hour or is none of ours is `validation_failed` for `/token`.
#[utoipa::path(
    post, path = "/identity/password-reset/confirm", tag = "identity", request_body = PasswordResetConfirmation,
    responses((status = 204, description = "Sign in with the new password"), ProblemResponses)
)]
pub(crate) async fn confirm_reset(
    State(service): State<Arc<Identity>>,
    ClientAddress(address): ClientAddress,
    ApiJson(request): ApiJson<PasswordResetConfirmation>,
) -> Result<StatusCode> {
    let now = service.now();
    service.addresses().attempt(address, now).map_err(too_many)?;
    let mut valid = Validator::new();
    let link = valid.take("/token", RefreshToken::parse(&request.token).ok_or(WORTHLESS));
    // Whose password it becomes is known only with a good link; the other rules hold for everybody.
    valid.take("/new_password", check_password(&request.new_password, ""));
    valid.finish()?;
    let hash = link.ok_or_else(worthless)?.hash();
    let id = store::account_of_link(service.db.read(), LinkPurpose::SetPassword, &hash, now).await?;
    let id = id.ok_or_else(worthless)?;
    service.addresses().succeeded(address);
    let account = service.account(id).await?;
    let mut valid = Validator::new();
    valid.take("/new_password", check_password(&request.new_password, account.email.as_str()));
    valid.finish()?;
    let new_hash = service.hasher.hash(request.new_password).await.map_err(|error| Problem::internal(&error))?;
    let changed = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                if !store::take_link(tx, LinkPurpose::SetPassword, &hash, now).await? {
                    return Ok(Some(false));
                }
                if !store::set_password(tx, id, &account.password_hash, &new_hash).await? {
                    return Ok(None);
                }
                store::drop_links(tx, LinkPurpose::SetPassword, id).await?;
                // Whoever has the link reads the mail: the account is theirs now, if it was not before.
                store::confirm_email(tx, id, now).await?;
                store::end_sessions_of(tx, id, now).await?;
                Ok(Some(true))
            })
        })
        .await?;
    match changed {
        Some(true) => {
            tracing::info!(security = true, account_id = %id, "a password was set by mail; every session is ended");
            Ok(StatusCode::NO_CONTENT)
        }
        Some(false) => Err(worthless()),
        None => Err(Problem::new(ErrorCode::ConcurrentChange).detail("The password was changed at the same moment.")),
    }
}
