//! The metrics of this process, for Prometheus.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bookworm_http::{Next, Problem, Stack};
use bookworm_kernel::ErrorCode;
use futures::future::BoxFuture;
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::client_address::FromThisMachine;

/// Renders the metrics of this process in Prometheus' text format. They show how the business goes (registrations,
/// orders, refunds), so they are not public.
#[derive(Clone)]
pub struct Metrics {
    render: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
    token: Option<Arc<str>>,
}

impl Metrics {
    /// Calls `render` at each scrape: one from this machine, or one that sends `token`.
    pub fn new(token: Option<&str>, render: impl Fn() -> BoxFuture<'static, String> + Send + Sync + 'static) -> Self {
        Self { render: Arc::new(render), token: token.map(Arc::from) }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(scrape))
            .route("/api/v1/metrics", get(scrape))
            .route_layer(Stack::new().with_state(self.clone(), operators_only))
            .with_state(self)
    }

    /// The same for a listener that only operators reach: whoever asks there may read them.
    pub(crate) fn operations(self) -> Router {
        let answer = |State(metrics): State<Self>| async move { metrics.answer().await };
        Router::new().route("/metrics", get(answer)).with_state(self)
    }

    /// The metrics as they are now.
    pub async fn text(&self) -> String {
        (self.render)().await
    }

    async fn answer(&self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.text().await).into_response()
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match (&self.token, given) {
            (Some(token), Some(given)) => token.as_bytes().ct_eq(given.as_bytes()).into(),
            _ => false,
        }
    }
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    metrics.answer().await
}

/// Lets operators pass: whoever asks from this machine, or sends the token.
pub(crate) async fn operators_only(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let from_here = request.extensions().get::<FromThisMachine>().is_some_and(|from_here| from_here.0);
    if !from_here && !metrics.knows(request.headers()) {
        let detail = "This is read on the shop's own machine, or with the token of telemetry.metrics_token.";
        return Problem::new(ErrorCode::Forbidden).detail(detail).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::features::client_address;

    async fn ask(peer: &str, headers: &[(&str, &str)], trust: bool) -> StatusCode {
        let metrics = Metrics::new(Some("a-token-of-the-scraper"), || Box::pin(async { "orders 1\n".to_owned() }));
        let router = metrics.routes().layer(Stack::new().with_state(trust, client_address::layer));
        let mut request = Request::get("/metrics");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_this_machine_and_who_knows_the_token_read_them() {
        const TOKEN: (&str, &str) = ("authorization", "Bearer a-token-of-the-scraper");
        for (peer, headers, trust, status) in [
            ("127.0.0.1:5000", &[][..], false, 200),
            ("[::1]:5000", &[], false, 200),
            ("[::ffff:127.0.0.1]:5000", &[], false, 200),
            ("203.0.113.9:5000", &[], false, 403),
            // A proxy on this machine that passes on what strangers ask.
            ("127.0.0.1:5000", &[("x-forwarded-for", "203.0.113.9")], false, 403),
            ("127.0.0.1:5000", &[("x-forwarded-for", "127.0.0.1")], true, 403),
            ("127.0.0.1:5000", &[("forwarded", "for=203.0.113.9")], false, 403),
            ("127.0.0.1:5000", &[("via", "1.1 proxy")], false, 403),
            ("203.0.113.9:5000", &[TOKEN], false, 200),
            ("203.0.113.9:5000", &[("authorization", "Bearer another-token-of-it")], false, 403),
            ("203.0.113.9:5000", &[("authorization", "Basic a-token-of-the-scraper")], false, 403),
        ] {
            assert_eq!(ask(peer, headers, trust).await.as_u16(), status, "{peer} {headers:?}");
        }
    }
}
