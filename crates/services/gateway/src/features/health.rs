//! Whether the program lives, and whether it can work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use bookworm_contracts::rest::operations;
use bookworm_http::{auth::StaffOnly, openapi::ProblemResponses};
use futures::future::{BoxFuture, join_all};
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long a part may take to say how it is.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks one part how it is: `Err` says what is wrong.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Asks a part that the shop can do without: `ok`, or what is missing.
pub type Note = Arc<dyn Fn() -> String + Send + Sync>;

/// The parts of this process.
#[derive(Clone)]
pub struct Health {
    checks: Arc<Vec<(&'static str, Check)>>,
    notes: Arc<Vec<(&'static str, Note)>>,
    shutdown: CancellationToken,
}

impl Health {
    /// Ready while every check passes and `shutdown` has not begun.
    #[must_use]
    pub fn new(checks: Vec<(&'static str, Check)>, shutdown: CancellationToken) -> Self {
        Self { checks: Arc::new(checks), notes: Arc::default(), shutdown }
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
            ((*name).to_owned(), answer)
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

/// `GET /health/live`: the program answers. Restart it when it does not.
async fn live() -> Json<operations::Health> {
    Json(operations::Health { status: "ok".to_owned(), checks: BTreeMap::new(), notes: BTreeMap::new() })
}

/// How each part of the shop is, as `/health/ready` tells the load balancer. Staff.
#[utoipa::path(
    get,
    path = "/admin/health",
    tag = "operations",
    responses((status = 200, body = operations::Health), ProblemResponses),
    security(("bearer" = []))
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
