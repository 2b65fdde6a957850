//! Rejects ambiguous requests.

use std::borrow::Cow;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bookworm_http::{Malformed, Next, Problem, fallback};
use bookworm_kernel::ErrorCode;
use http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::load::LONG;

/// Characters that a path may contain as they are; all others are percent-encoded.
const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Refuses what could be read in two ways (400) and bodies that are encoded (415). A path that is not UTF-8 names
/// nothing: the API answers 404; for pages its bytes are replaced, and the page for 404 is found.
pub async fn layer(mut request: Request, next: Next) -> Response {
    if let Some(Malformed(why)) = request.extensions().get::<Malformed>() {
        return Problem::new(ErrorCode::MalformedRequest).detail(*why).into_response();
    }
    if is_encoded(request.headers()) {
        // RFC 9110, 12.5.3: the answer says what would have been taken.
        return Problem::new(ErrorCode::UnsupportedMediaType)
            .detail("Send the body without a Content-Encoding.")
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .into_response();
    }
    let decoded = percent_decode_str(request.uri().path());
    if decoded.clone().decode_utf8().is_err() {
        let path: Cow<'_, str> = decoded.decode_utf8_lossy();
        let for_programs = [crate::API, LONG].iter().any(|prefix| path.starts_with(prefix));
        match with_path(request.uri(), &path) {
            Some(uri) if !for_programs => *request.uri_mut() = uri,
            _ => return fallback::not_found().await.into_response(),
        }
    }
    next.run(request).await
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|encoding| {
        let encoding = encoding.trim_ascii();
        !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity")
    })
}

/// The same address with this path, percent-encoded.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path = utf8_percent_encode(path, AS_IT_IS);
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body};
    use http::StatusCode;
    use tower::ServiceExt;

    use super::*;

    async fn ask(request: http::request::Builder) -> (StatusCode, HeaderMap, String) {
        let app = Router::new()
            .fallback(|uri: Uri| async move { uri.to_string() })
            .layer(bookworm_http::Stack::new().with(layer));
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_address_that_is_no_text_names_nothing() {
        for (asked, path) in [
            ("/books/%ff", "/books/%EF%BF%BD"),
            ("/books/a%20b%C3?q=%ff", "/books/a%20b%EF%BF%BD?q=%ff"),
            ("/%c0%ae%c0%ae/etc", "/%EF%BF%BD%EF%BF%BD%EF%BF%BD%EF%BF%BD/etc"),
            ("/%25ff%ff", "/%25ff%EF%BF%BD"),
            ("/books/%C3%A9", "/books/%C3%A9"),
            ("/books/100%", "/books/100%"),
        ] {
            assert_eq!(ask(Request::get(asked)).await.2, path, "{asked}");
        }
        for asked in ["/api/v1/books/%ff", "/api/v1/%fe?q=a", "/hubs/%ff"] {
            let (status, headers, _) = ask(Request::get(asked)).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{asked}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{asked}");
        }
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused_with_what_would_be_taken() {
        for encoding in ["gzip", "br", "identity, gzip", "GZIP", "x"] {
            let (status, headers, _) = ask(Request::post("/x").header("content-encoding", encoding)).await;
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{encoding}");
            assert_eq!(headers[header::ACCEPT_ENCODING], "identity", "{encoding}");
        }
        for encoding in ["identity", "Identity", "", " identity , identity"] {
            assert_eq!(ask(Request::post("/x").header("content-encoding", encoding)).await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn what_can_be_read_in_two_ways_is_refused() {
        let (status, _, body) = ask(Request::get("/").extension(Malformed("The request has no Host header."))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("malformed_request") && body.contains("no Host header"), "{body}");
    }
}
