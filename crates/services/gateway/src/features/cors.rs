//! The web sites whose scripts may call the API.

use std::time::Duration;

use bookworm_config::Cors;
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Allows the configured origins, none by default; never cookies, since other sites sign in with tokens.
pub fn layer(settings: &Cors) -> CorsLayer {
    let origins = settings.allowed_origins.iter().filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok());
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(names(&[
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "basket-token",
            "review-invitation",
            "prefer",
            "x-correlation-id",
            "traceparent",
        ]))
        .expose_headers(names(&["etag", "location", "basket-token", "x-correlation-id", "retry-after", "ratelimit"]))
        .max_age(Duration::from_secs(600))
}
