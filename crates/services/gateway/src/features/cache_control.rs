//! Who may cache an answer of the API: decided here for all routes, so that a new one is covered too.

use axum::{extract::Request, response::Response};
use bookworm_http::Next;
use http::{HeaderMap, HeaderValue, Method, header};

/// What everybody may read, below the API's prefix. Everything else is private until it is named here.
const PUBLIC: [&str; 9] = [
    "/books",
    "/authors",
    "/publishers",
    "/subjects",
    "/search",
    "/shipping-methods",
    "/payment-methods",
    "/chat/policies",
    "/openapi.json",
];

/// Sets `Cache-Control` where the service did not: `no-store`, or for a stranger who reads what is public `no-cache`,
/// which lets a copy be stored that is validated each time.
pub async fn layer(request: Request, next: Next) -> Response {
    let control = match is_public(request.method(), request.uri().path(), request.headers()) {
        true => HeaderValue::from_static("no-cache"),
        false => HeaderValue::from_static("no-store"),
    };
    let mut response = next.run(request).await;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(control);
    response
}

fn is_public(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let path = path.strip_prefix(crate::API).unwrap_or(path);
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::AUTHORIZATION)
        && !headers.contains_key("basket-token")
        && PUBLIC.into_iter().any(below)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::any};
    use tower::ServiceExt;

    use super::*;

    async fn control(request: http::request::Builder) -> String {
        let app = Router::new()
            .route("/api/v1/own", any(|| async { [(header::CACHE_CONTROL, "public, max-age=300")] }))
            .fallback(|| async {})
            .layer(bookworm_http::Stack::new().with(layer));
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        response.headers()[header::CACHE_CONTROL].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_answer_is_private_unless_its_path_is_public() {
        let own = [
            "/identity/me",
            "/orders",
            "/orders/1?token=x",
            "/conversations",
            "/recommendations",
            "/bookshelf",
            "/new",
        ];
        for path in own {
            assert_eq!(control(Request::get(format!("/api/v1{path}"))).await, "no-store", "{path}");
        }
        for path in ["/books", "/books/1", "/search?q=a", "/search/suggest?q=a", "/openapi.json"] {
            let get = || Request::get(format!("/api/v1{path}"));
            assert_eq!(control(get()).await, "no-cache", "{path}");
            assert_eq!(control(get().header("authorization", "Bearer x")).await, "no-store", "{path}, signed in");
            assert_eq!(control(get().header("basket-token", "x")).await, "no-store", "{path}, with a basket");
            assert_eq!(control(Request::post(format!("/api/v1{path}"))).await, "no-store", "{path}, changed");
        }
        assert_eq!(control(Request::get("/api/v1/own")).await, "public, max-age=300", "the service knows better");
    }
}
