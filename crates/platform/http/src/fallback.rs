//! Problems for what no route answers.

use axum::Router;
use bookworm_kernel::ErrorCode;

use crate::Problem;

/// 404 `not_found`: nothing is at this address.
pub async fn not_found() -> Problem {
    Problem::new(ErrorCode::NotFound).detail("There is nothing at this address.")
}

/// 405 `method_not_allowed`. The router adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed)
}

/// Answers unknown addresses and methods with problems. Call it after the routes were added.
pub fn install<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http::{Request, StatusCode, header};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn unknown_addresses_and_methods_are_problems() {
        let app = install(Router::new().route("/books", get(|| async {})));
        for (method, path, status) in
            [("GET", "/nothing", StatusCode::NOT_FOUND), ("POST", "/books", StatusCode::METHOD_NOT_ALLOWED)]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            if status == StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
            }
        }
    }
}
