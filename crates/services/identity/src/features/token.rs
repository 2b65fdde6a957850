use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use bookworm_contracts::rest::identity::{TokenRequest, TokenResponse};
use bookworm_http::{ApiJson, ClientAddress, Origin, Result, Validator, openapi::ProblemResponses};
use http::{HeaderValue, header};
use serde::Deserialize;

use super::guest_basket::GuestBasket;
use crate::service::Identity;

/// A [`TokenRequest`] as it comes: read flat, so that a field that is not valid can be named.
#[derive(Deserialize)]
pub(crate) struct Grant {
    grant_type: String,
    email: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
}

impl Grant {
    fn read(self) -> Result<TokenRequest> {
        let mut valid = Validator::new();
        let mut required = |field: &str, value: Option<String>| {
            valid.check(field, value.is_some(), "is required");
            value.unwrap_or_default()
        };
        let request = match self.grant_type.as_str() {
            "password" => TokenRequest::Password {
                email: required("/email", self.email),
                password: required("/password", self.password),
            },
            kind => {
                let refresh_token = match kind {
                    "refresh_token" => required("/refresh_token", self.refresh_token),
                    _ => {
                        valid.error("/grant_type", "must be `password` or `refresh_token`");
                        String::new()
                    }
                };
                TokenRequest::RefreshToken { refresh_token }
            }
        };
        valid.finish()?;
        Ok(request)
    }
}

/// Signs in, or stays signed in
///
/// With a password: `invalid_credentials` when e-mail or password is wrong, whichever it is; `too_many_attempts` with
/// `Retry-After` after too many of those. A basket filled as a guest (`Basket-Token` or cookie `basket_token`) comes
/// along. With a refresh token: each is good for one use; using one again, later than a moment, ends the session
/// (`invalid_token`).
#[utoipa::path(
    post, path = "/identity/token", tag = "identity", request_body = TokenRequest,
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 200, description = "The tokens", body = TokenResponse), ProblemResponses)
)]
pub(crate) async fn token(
    State(service): State<Arc<Identity>>,
    Origin(cause): Origin,
    ClientAddress(address): ClientAddress,
    guest: GuestBasket,
    ApiJson(grant): ApiJson<Grant>,
) -> Result<impl IntoResponse> {
    let tokens = match grant.read()? {
        TokenRequest::Password { email, password } => service.sign_in(&email, password, address, guest, &cause).await?,
        TokenRequest::RefreshToken { refresh_token } => service.refresh(&refresh_token).await?,
    };
    // RFC 6749, 5.1.
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], ApiJson(tokens)))
}
