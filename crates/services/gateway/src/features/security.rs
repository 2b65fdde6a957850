//! Security headers (OWASP Secure Headers).

use axum::{
    extract::{Request, State},
    response::Response,
};
use bookworm_http::Next;
use http::{HeaderName, HeaderValue, header};

/// Nothing from other hosts, no inline script or style, no framing.
const PAGES: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                     form-action 'self'; frame-ancestors 'none'";
/// The API document's page brings styles and a starter script of its own.
const DOCUMENT: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                        img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the headers that the answer does not have. `https`: customers reach the shop by TLS, whatever the proxy reports.
pub async fn layer(State(https): State<bool>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let policy = if path.starts_with("/docs") { DOCUMENT } else { PAGES };
    let secure = https || request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=()");
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}
