//! Liveness and readiness of the program.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract, response::IntoResponse, routing::get};
use bookworm_contracts::rest::operations;
use bookworm_http::{auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::{Clock, Timestamp};
use futures::future::{BoxFuture, join_all};
use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The timeout of each check.
const TIMEOUT: Duration = Duration::from_secs(2);
/// From when on an answer is a slow one.
const SLOW: Duration = Duration::from_millis(500);

/// Checks one part. The error is a sentence for staff.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Describes a part that answers at once: `ok`, or what is missing.
pub type Note = Arc<dyn Fn() -> String + Send + Sync>;

/// The names of the essential parts that are gone for good.
pub type Gone = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// How this process is. Whether requests may come to it is a question about itself alone: a database that is away is
/// away for all processes alike, and sending their requests elsewhere would help nobody. One that is lost to this process
/// alone is announced beside it ([`parts_down`](Self::parts_down)).
#[derive(Clone)]
pub struct Health {
    /// What this process needs of itself before it takes requests.
    own: Arc<Vec<(&'static str, Note)>>,
    /// What it depends on.
    parts: Arc<Vec<Part>>,
    gone: Gone,
    notes: Arc<Vec<(&'static str, Note)>>,
    draining: CancellationToken,
    clock: Arc<dyn Clock>,
    /// What operators call this process.
    process: serde_json::Value,
}

struct Part {
    name: String,
    check: Check,
    /// How it was at the last look, and since when.
    last: Mutex<Option<(State, Timestamp)>>,
}

/// A dependency as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Which one.
    pub part: String,
    /// `ok`, `slow` or `down`.
    pub state: &'static str,
    /// Since when: the first look that showed it so.
    pub since: Timestamp,
    /// What is wrong; empty when nothing is.
    pub why: String,
}

/// How a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Slow,
    Down,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Down => "down",
        }
    }
}

impl Health {
    /// Ready until `draining` has begun. `parts` are what the process depends on.
    #[must_use]
    pub fn new(parts: Vec<(String, Check)>, draining: CancellationToken, clock: Arc<dyn Clock>) -> Self {
        let parts = parts.into_iter().map(|(name, check)| Part { name, check, last: Mutex::default() });
        Self {
            own: Arc::default(),
            parts: Arc::new(parts.collect()),
            gone: Arc::new(Vec::new),
            notes: Arc::default(),
            draining,
            clock,
            process: serde_json::Value::Null,
        }
    }

    /// Ready only while each of these is `ok`.
    #[must_use]
    pub fn with_own(self, own: Vec<(&'static str, Note)>) -> Self {
        Self { own: Arc::new(own), ..self }
    }

    /// Shows operators which process this is.
    #[must_use]
    pub fn with_process(self, process: serde_json::Value) -> Self {
        Self { process, ..self }
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

    /// Whether requests may come to this process.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready().status == "ok"
    }

    /// Asks every part that this process depends on. The names of those that do not answer.
    pub async fn parts_down(&self) -> Vec<String> {
        let down = self.looks().await.into_iter().filter(|looked| looked.state == State::Down.name());
        down.map(|looked| looked.part).collect()
    }

    /// What this process needs of itself, by name: `ok`, or what is missing.
    #[must_use]
    pub fn own(&self) -> BTreeMap<String, String> {
        self.ready().checks
    }

    /// What the shop can do without, by name: `ok`, or what is missing.
    #[must_use]
    pub fn notes(&self) -> BTreeMap<String, String> {
        self.ready().notes
    }

    /// Looks at everything that this process depends on.
    pub async fn looks(&self) -> Vec<Looked> {
        let now = self.clock.now();
        let looks = join_all(self.parts.iter().map(|part| part.look(now))).await;
        let named = self.parts.iter().zip(looks).map(|(part, look)| Looked {
            part: part.name.clone(),
            state: look.state.name(),
            since: look.since,
            why: look.why,
        });
        named.collect()
    }

    /// `/health/live` and `/health/ready`.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(self)
    }

    /// The same, and `/health/detail`, for operators.
    pub(crate) fn operations(self) -> Router {
        Router::new().route("/health/detail", get(detail)).with_state(self.clone()).merge(self.routes())
    }

    pub(crate) fn api(self) -> OpenApiRouter {
        OpenApiRouter::new().routes(routes!(for_staff)).with_state(self)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until the process is about to end.
    pub(super) async fn drains(&self) {
        self.draining.cancelled().await;
    }

    fn ready(&self) -> operations::Health {
        let mut checks: BTreeMap<String, String> =
            self.own.iter().map(|(name, check)| ((*name).to_owned(), check())).collect();
        if self.draining.is_cancelled() {
            checks.insert("shutdown".to_owned(), "shutting down".to_owned());
        }
        self.answer(checks)
    }

    /// Asks every part.
    async fn ask(&self) -> operations::Health {
        let looks = join_all(self.parts.iter().map(|part| part.look(self.clock.now()))).await;
        let checks = self.parts.iter().zip(looks).map(|(part, look)| {
            let answer = if look.state == State::Down { look.why } else { "ok".to_owned() };
            (part.name.clone(), answer)
        });
        let mut all = self.ready().checks;
        all.extend(checks);
        self.answer(all)
    }

    fn answer(&self, checks: BTreeMap<String, String>) -> operations::Health {
        let ok = checks.values().all(|answer| answer == "ok");
        let notes = self.notes.iter().map(|(name, note)| ((*name).to_owned(), note())).collect();
        operations::Health { status: if ok { "ok" } else { "unavailable" }.to_owned(), checks, notes }
    }
}

/// What one look at a part showed.
struct Look {
    state: State,
    since: Timestamp,
    why: String,
}

impl Part {
    async fn look(&self, now: Timestamp) -> Look {
        let started = Instant::now();
        let (state, why) = match tokio::time::timeout(TIMEOUT, (self.check)()).await {
            Ok(Ok(())) if started.elapsed() < SLOW => (State::Ok, String::new()),
            Ok(Ok(())) => (State::Slow, format!("answered after {} ms", started.elapsed().as_millis())),
            Ok(Err(wrong)) => (State::Down, wrong),
            Err(_) => (State::Down, format!("no answer within {} seconds", TIMEOUT.as_secs())),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match *last {
            Some((before, since)) if before == state => since,
            _ => now,
        };
        *last = Some((state, since));
        Look { state, since, why }
    }
}

/// `GET /health/live`: the program answers, and nothing that runs beside the requests is gone for good. Restart it when
/// it does not answer, or with 503.
async fn live(extract::State(health): extract::State<Health>) -> impl IntoResponse {
    let gone = (health.gone)();
    let (code, status) =
        if gone.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let checks = gone.into_iter().map(|name| (name, "gone for good".to_owned())).collect();
    (code, Json(operations::Health { status: status.to_owned(), checks, notes: BTreeMap::new() }))
}

/// How each part of the shop is, its databases among them. Staff.
#[utoipa::path(
    get,
    path = "/admin/health",
    tag = "operations",
    responses((status = 200, description = "How the parts are", body = operations::Health), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn for_staff(_: StaffOnly, extract::State(health): extract::State<Health>) -> Json<operations::Health> {
    Json(health.ask().await)
}

/// `GET /health/ready`: send requests here, or (503) elsewhere for now. Asks nobody else.
async fn ready(extract::State(health): extract::State<Health>) -> impl IntoResponse {
    let health = health.ready();
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}

/// `GET /health/detail`: each dependency as it is now, and since when: the first look that showed it so.
async fn detail(extract::State(health): extract::State<Health>) -> impl IntoResponse {
    let parts: serde_json::Map<String, serde_json::Value> = health
        .looks()
        .await
        .into_iter()
        .map(|look| {
            let mut shown = serde_json::json!({"state": look.state, "since": look.since.to_string()});
            if !look.why.is_empty() {
                shown["why"] = look.why.into();
            }
            (look.part, shown)
        })
        .collect();
    let ready = health.ready();
    Json(serde_json::json!({
        "process": health.process,
        "ready": ready.status == "ok",
        "own": ready.checks,
        "parts": parts,
        "notes": ready.notes,
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bookworm_testing::clock;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(health: &Health, path: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = health.clone().operations().oneshot(request).await.expect("routes cannot fail");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_program_that_lost_a_loop_for_good_is_not_alive() {
        let lost: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let gone = lost.clone();
        let health = Health::new(Vec::new(), CancellationToken::new(), clock())
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

    fn health() -> Health {
        let checks = ["sandbox", "ledger", "archive"].map(|name| {
            let check: Check = Arc::new(move || {
                Box::pin(async move {
                    match name {
                        "archive" => Err("away".to_owned()),
                        "ledger" => {
                            tokio::time::sleep(SLOW).await;
                            Ok(())
                        }
                        _ => Ok(()),
                    }
                })
            });
            (name.to_owned(), check)
        });
        Health::new(checks.into(), CancellationToken::new(), clock())
    }

    #[tokio::test(start_paused = true)]
    async fn every_dependency_is_shown_and_since_when() {
        let health = health();
        let (status, body) = ask(&health, "/health/detail").await;
        assert_eq!(status, StatusCode::OK);
        let since = bookworm_testing::NOW.to_string();
        assert_eq!(
            body["parts"],
            serde_json::json!({
                "sandbox": {"state": "ok", "since": since},
                "ledger": {"state": "slow", "since": since, "why": "answered after 500 ms"},
                "archive": {"state": "down", "since": since, "why": "away"},
            })
        );
        let staff = health.ask().await;
        assert_eq!(staff.status, "unavailable");
        assert_eq!((&*staff.checks["archive"], &*staff.checks["ledger"]), ("away", "ok"));
    }

    #[tokio::test]
    async fn ready_asks_this_process_alone() {
        let (keys, draining) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), CancellationToken::new());
        let have = keys.clone();
        let own: Note = Arc::new(move || match have.load(std::sync::atomic::Ordering::SeqCst) {
            true => "ok".to_owned(),
            false => "not fetched yet".to_owned(),
        });
        let health = Health { draining: draining.clone(), ..health() }.with_own(vec![("keys", own)]);
        let (status, body) = ask(&health, "/health/ready").await;
        assert_eq!((status, &body["checks"]["keys"]), (StatusCode::SERVICE_UNAVAILABLE, &"not fetched yet".into()));
        keys.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(ask(&health, "/health/ready").await.0, StatusCode::OK, "a dependency that is down is everybody's");
        draining.cancel();
        let (status, body) = ask(&health, "/health/ready").await;
        assert_eq!((status, &body["checks"]["shutdown"]), (StatusCode::SERVICE_UNAVAILABLE, &"shutting down".into()));
        assert_eq!(ask(&health, "/health/live").await.0, StatusCode::OK);
    }
}
