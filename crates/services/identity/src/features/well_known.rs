use std::sync::Arc;

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{HeaderValue, header};
use serde_json::json;

use crate::service::Identity;

/// New keys are published for longer than this before they sign.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) const CONFIGURATION: &str = "/.well-known/openid-configuration";
pub(crate) const KEY_SET: &str = "/.well-known/jwks.json";

pub(crate) fn routes() -> Router<Arc<Identity>> {
    Router::new().route(CONFIGURATION, get(configuration)).route(KEY_SET, get(key_set))
}

/// OpenID Connect Discovery 1.0, as far as it applies to an issuer without an authorisation endpoint.
async fn configuration(State(service): State<Arc<Identity>>) -> impl IntoResponse {
    let url = &service.public_url;
    let document = json!({
        "issuer": service.tokens.issuer(),
        "jwks_uri": format!("{url}{KEY_SET}"),
        "token_endpoint": format!("{url}/api/v1/identity/token"),
        "userinfo_endpoint": format!("{url}/api/v1/identity/me"),
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "claims_supported": ["iss", "aud", "sub", "exp", "iat", "jti", "email", "name", "roles"],
    });
    ([(header::CACHE_CONTROL, CACHE)], Json(document))
}

/// The public keys that check access tokens (RFC 7517).
async fn key_set(State(service): State<Arc<Identity>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, CACHE)], Json(service.tokens.key_set()))
}
