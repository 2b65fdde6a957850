use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::identity::SignOutRequest;
use bookworm_db::DbError;
use bookworm_http::{ApiJson, Result, openapi::ProblemResponses};
use http::StatusCode;

use crate::{domain::RefreshToken, service::Identity, store};

/// Signs out
///
/// Ends the session that this refresh token belongs to. A token that is unknown or of a session that has ended is
/// fine: signed out is what the caller wanted to be. An access token stays good until it expires.
#[utoipa::path(
    post, path = "/identity/sign-out", tag = "identity", request_body = SignOutRequest,
    responses((status = 204, description = "Signed out"), ProblemResponses)
)]
pub(crate) async fn sign_out(
    State(service): State<Arc<Identity>>,
    ApiJson(request): ApiJson<SignOutRequest>,
) -> Result<StatusCode> {
    if let Some(token) = RefreshToken::parse(request.refresh_token.trim()) {
        let (hash, now) = (token.hash(), service.now());
        service
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    match store::lock_token(tx, &hash).await? {
                        Some(known) => store::end_session(tx, known.session_id, now).await,
                        None => Ok(()),
                    }
                })
            })
            .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
