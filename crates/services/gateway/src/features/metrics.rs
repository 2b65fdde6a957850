//! What has been counted, for Prometheus.

use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use futures::future::BoxFuture;
use http::header;

/// Renders the metrics of this process in Prometheus' text format.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>);

impl Metrics {
    /// Calls `render` at each scrape.
    pub fn new(render: impl Fn() -> BoxFuture<'static, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().route("/metrics", get(scrape)).route("/api/v1/metrics", get(scrape)).with_state(self)
    }
}

async fn scrape(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (metrics.0)().await)
}
