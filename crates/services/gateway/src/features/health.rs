//! Liveness and readiness of the program.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use bookworm_contracts::rest::operations;
use bookworm_http::{auth::StaffOnly, openapi::ProblemResponses};
use futures::future::{BoxFuture, join_all};
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The timeout of each check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks one part. The error is a sentence for staff.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Describes an optional part: `ok`, or what is missing.
pub type Note = Arc<dyn Fn() -> String + Send + Sync>;

/// The names of the essential parts that are gone for good.
pub type Gone = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// The parts of this process.
#[derive(Clone)]
pub struct Health {
    checks: Arc<Vec<(String, Check)>>,
    gone: Gone,
    notes: Arc<Vec<(&'static str, Note)>>,
    shutdown: CancellationToken,
}

impl Health {
    /// Ready while every check passes and `shutdown` has not begun.
    #[must_use]
    pub fn new(checks: Vec<(String, Check)>, shutdown: CancellationToken) -> Self {
        Self { checks: Arc::new(checks), gone: Arc::new(Vec::new), notes: Arc::default(), shutdown }
    }

    /// Not alive once one of these is gone: only a restart brings it back.
    #[must_use]
    pub fn with_gone(self, gone: Gone) -> Self {
        Self { gone, ..self }
    }

    /// Shows these parts too; they do not decide whether requests may come.
    #[must_use]
    pub fn with_notes(self, notes: Vec<(&'static str, Note)>) -> Self {
        Self { notes: Arc::new(notes), ..self }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(self)
    }

    pub(crate) fn api(self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(for_staff)).with_state(self)
    }

    async fn ask(&self) -> operations::Health {
        let answers = join_all(self.checks.iter().map(|(name, check)| async move {
            let answer = match tokio::time::timeout(TIMEOUT, check()).await {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(wrong)) => wrong,
                Err(_) => format!("no answer within {} seconds", TIMEOUT.as_secs()),
            };
            (name.clone(), answer)
        }));
        let mut checks: BTreeMap<String, String> = answers.await.into_iter().collect();
        if self.shutdown.is_cancelled() {
            checks.insert("shutdown".to_owned(), "shutting down".to_owned());
        }
        let ok = checks.values().all(|answer| answer == "ok");
        let notes = self.notes.iter().map(|(name, note)| ((*name).to_owned(), note())).collect();
        operations::Health { status: if ok { "ok" } else { "unavailable" }.to_owned(), checks, notes }
    }
}

/// `GET /health/live`: the program answers, and nothing that runs beside the requests is gone for good. Restart it when
/// it does not answer, or with 503.
async fn live(State(health): State<Health>) -> impl IntoResponse {
    let gone = (health.gone)();
    let (code, status) =
        if gone.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let checks = gone.into_iter().map(|name| (name, "gone for good".to_owned())).collect();
    (code, Json(operations::Health { status: status.to_owned(), checks, notes: BTreeMap::new() }))
}

/// How each part of the shop is, as `/health/ready` tells the load balancer. Staff.
#[utoipa::path(
    get,
    path = "/admin/health",
    tag = "operations",
    responses((status = 200, description = "How the parts are", body = operations::Health), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn for_staff(_: StaffOnly, State(health): State<Health>) -> Json<operations::Health> {
    Json(health.ask().await)
}

/// `GET /health/ready`: send requests here, or (503) elsewhere for now.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let health = health.ask().await;
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(health: &Health, path: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = health.clone().routes().oneshot(request).await.expect("routes cannot fail");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_program_that_lost_a_loop_for_good_is_not_alive() {
        let lost: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let gone = lost.clone();
        let health = Health::new(Vec::new(), CancellationToken::new())
            .with_gone(Arc::new(move || gone.lock().expect("no panic").clone()));
        assert_eq!(ask(&health, "/health/live").await.0, StatusCode::OK);
        lost.lock().expect("no panic").push("basket.guests".to_owned());
        let (status, body) = ask(&health, "/health/live").await;
        assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"unavailable".into()));
        assert_eq!(body["checks"]["basket.guests"], "gone for good");
        assert_eq!(
            ask(&health, "/health/ready").await.0,
            StatusCode::OK,
            "whether requests may come is another question"
        );
    }

    #[tokio::test]
    async fn every_part_is_shown_under_its_own_name() {
        let checks = ["sandbox", "ledger", "archive"].map(|name| {
            let check: Check = Arc::new(move || {
                Box::pin(async move { if name == "archive" { Err("away".to_owned()) } else { Ok(()) } })
            });
            (name.to_owned(), check)
        });
        let (status, body) = ask(&Health::new(checks.into(), CancellationToken::new()), "/health/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["checks"], serde_json::json!({"sandbox": "ok", "ledger": "ok", "archive": "away"}));
    }
}
