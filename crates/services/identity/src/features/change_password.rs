use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use bookworm_contracts::rest::identity::{ChangePasswordRequest, TokenResponse};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ClientAddress, Problem, Result, Validator, auth::Signed, openapi::ProblemResponses};
use bookworm_kernel::{ErrorCode, FieldError};
use http::{HeaderValue, header};

use super::sign_in::start_session;
use crate::{
    domain::{LinkPurpose, RefreshToken, check_password},
    hasher::Checked,
    service::Identity,
    store,
};

/// Changes the caller's password
///
/// Ends every session of the account, wherever it is signed in, makes every link that sets a new password worthless,
/// and answers with the tokens of a new session. A wrong
/// `current_password` is `validation_failed`, and counts as an attempt to guess it (`too_many_attempts`).
#[utoipa::path(
    post, path = "/identity/me/password", tag = "identity", request_body = ChangePasswordRequest,
    responses((status = 200, description = "The tokens of a new session", body = TokenResponse), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn change_password(
    State(service): State<Arc<Identity>>,
    Signed(caller): Signed,
    ClientAddress(address): ClientAddress,
    ApiJson(request): ApiJson<ChangePasswordRequest>,
) -> Result<impl IntoResponse> {
    let account = service.account(caller.id).await?;
    let mut valid = Validator::new();
    valid.take("/new_password", check_password(&request.new_password, account.email.as_str()));
    valid.finish()?;
    let attempt = service.begin_attempt(account.email.as_str(), address).await?;
    let old_hash = account.password_hash.clone();
    let failed = |error| Problem::internal(&error);
    let checked = service.hasher.check(request.current_password, Some(old_hash.clone())).await.map_err(failed)?;
    if checked == Checked::Wrong {
        return Err(Problem::validation(vec![FieldError::new("/current_password", "is not your password")]));
    }
    service.attempt_succeeded(&attempt).await;
    let new_hash = service.hasher.hash(request.new_password).await.map_err(failed)?;
    let (refresh, now, id) = (RefreshToken::new(), service.now(), account.id);
    let token = service.new_token(&refresh, now, now);
    let changed = service
        .db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                if !store::set_password(tx, id, &old_hash, &new_hash).await? {
                    return Ok(false);
                }
                store::drop_links(tx, LinkPurpose::SetPassword, id).await?;
                store::end_sessions_of(tx, id, now).await?;
                start_session(tx, id, token, &attempt, now).await?;
                Ok(true)
            })
        })
        .await?;
    if !changed {
        return Err(Problem::new(ErrorCode::ConcurrentChange).detail("The password was changed at the same moment."));
    }
    tracing::info!(security = true, account_id = %account.id, "a password was changed; every session is ended");
    let tokens = service.answer(&account, &refresh, now)?;
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], ApiJson(tokens)))
}
