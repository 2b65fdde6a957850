//! What clients with a kept connection are told before this process ends.

use axum::{
    extract::{Request, State},
    response::Response,
};
use bookworm_http::Next;
use http::{HeaderValue, StatusCode, Version, header::CONNECTION};
use tokio_util::sync::CancellationToken;

/// The layer that, once the process is about to end, closes each HTTP/1 connection after its next answer, and says so.
/// Otherwise a kept connection is closed when the listener ends, perhaps while a request is on its way; a client cannot
/// know then whether that was done, and may not repeat it.
pub async fn close_kept(State(ending): State<CancellationToken>, request: Request, next: Next) -> Response {
    let is_kept = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if is_kept && ending.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use bookworm_http::Stack;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_kept_connection_is_closed_after_an_answer_once_the_process_is_about_to_end() {
        let ending = CancellationToken::new();
        let upgraded = async || (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade")]);
        let router = Router::new().route("/", get(async || "fine")).route("/socket", get(upgraded));
        let router = router.layer(Stack::new().with_state(ending.clone(), close_kept));
        let connection = async |path: &str, version: Version| {
            let request = Request::get(path).version(version).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            answer.headers().get(CONNECTION).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(connection("/", Version::HTTP_11).await, None);
        ending.cancel();
        assert_eq!(connection("/", Version::HTTP_11).await.as_deref(), Some("close"));
        assert_eq!(connection("/", Version::HTTP_2).await, None, "HTTP/2 has no such header");
        assert_eq!(connection("/socket", Version::HTTP_11).await.as_deref(), Some("upgrade"));
    }
}
