//! How the whole shop is, now and over the last two hours.

mod chart;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::operations::{
    HealthCheck, HealthError, HealthQueue, HealthStart, ProcessHealth, ShopHealth,
};

use http::HeaderMap;

use self::chart::ChartView;
use super::Staff;
use crate::{
    api::{ApiError, ApiResult},
    error::PageResult,
    layout::{Shell, never_stored, page},
    service::Web,
    view::{self, Calendar},
};

/// Seconds until the page is loaded anew where there is no script.
const RELOAD_AFTER: u32 = 30;

#[derive(Template)]
#[template(path = "admin/health.html")]
struct HealthPage {
    shell: Shell,
    part: HealthPart,
}

/// The part that changes by itself, alone for the island.
#[derive(Template)]
#[template(path = "admin/health_part.html")]
struct HealthPart {
    summary: String,
    /// `None` when no monitor answers.
    shop: Option<Shown>,
}

struct Shown {
    /// HTML.
    at: String,
    by: String,
    left_out: u64,
    processes: Vec<ProcessRow>,
    charts: Vec<ChartView>,
    breakers: Vec<(String, String, &'static str)>,
    leases: Vec<(String, String)>,
    queues: Vec<(String, String)>,
    errors: Vec<ErrorRow>,
    starts: Vec<StartRow>,
}

struct ProcessRow {
    process: String,
    zone: String,
    version: String,
    roles: String,
    badge: &'static str,
    state: &'static str,
    /// HTML.
    since: String,
    /// HTML.
    started: Option<String>,
    requests: String,
    failed: String,
    latency: String,
    chart: ChartView,
    /// What needs a look.
    troubles: Vec<CheckRow>,
    /// The names of all that is well.
    well: String,
}

struct CheckRow {
    name: String,
    badge: &'static str,
    state: &'static str,
    /// HTML.
    since: String,
    why: String,
}

struct ErrorRow {
    /// HTML.
    at: String,
    process: String,
    target: String,
    message: String,
    count: String,
    trace: Option<String>,
}

struct StartRow {
    /// HTML.
    at: String,
    process: String,
    version: String,
    roles: String,
}

impl HealthPart {
    fn new(answer: ApiResult<ShopHealth>, calendar: &Calendar) -> ApiResult<Self> {
        match answer {
            Ok(shop) => Ok(Self { summary: summary(&shop), shop: Some(Shown::new(shop, calendar)) }),
            // The page says so, and leads to what is known without a monitor.
            Err(error) if error.status().is_server_error() => {
                Ok(Self { summary: "No monitor answers.".to_owned(), shop: None })
            }
            Err(error) => Err(error),
        }
    }
}

fn summary(shop: &ShopHealth) -> String {
    let of = |state: &str| shop.processes.iter().filter(|process| process.state == state).count();
    let all = match shop.processes.len() {
        1 => "1 process".to_owned(),
        many => format!("{many} processes"),
    };
    let troubles = [("away", "away"), ("not_ready", "not ready")];
    let troubles: Vec<String> = troubles
        .into_iter()
        .filter(|(state, _)| of(state) > 0)
        .map(|(state, words)| format!("{} {words}", of(state)))
        .collect();
    let processes = match (troubles.is_empty(), shop.processes.len()) {
        (true, 1) => format!("{all}, ready."),
        (true, _) => format!("{all}, all ready."),
        (false, _) => format!("{all}: {} ready, {}.", of("ready"), troubles.join(", ")),
    };
    let is_trouble = |check: &&HealthCheck| matches!(check.state.as_str(), "down" | "slow");
    let wrong = shop.processes.iter().flat_map(|process| &process.checks).filter(is_trouble).count();
    match wrong {
        0 => processes,
        1 => format!("{processes} 1 check needs attention."),
        many => format!("{processes} {many} checks need attention."),
    }
}

impl Shown {
    fn new(shop: ShopHealth, calendar: &Calendar) -> Self {
        let breaker = |state: &str| if state == "open" { "Open" } else { "Half open" };
        Self {
            at: calendar.time(&shop.at),
            by: shop.answered_by,
            left_out: shop.series_left_out,
            processes: shop.processes.into_iter().map(|process| ProcessRow::new(process, calendar)).collect(),
            charts: shop.charts.into_iter().map(|chart| ChartView::new(chart, "", calendar)).collect(),
            breakers: shop
                .breakers
                .into_iter()
                .map(|found| (found.name, found.process, breaker(&found.state)))
                .collect(),
            leases: shop.leases.into_iter().map(|lease| (lease.name, lease.holders.join(", "))).collect(),
            queues: shop
                .queues
                .into_iter()
                .map(|queue| (queue_name(&queue), chart::shown(&queue.unit, queue.value)))
                .collect(),
            errors: shop.errors.into_iter().map(|error| ErrorRow::new(error, calendar)).collect(),
            starts: shop.starts.into_iter().map(|start| StartRow::new(start, calendar)).collect(),
        }
    }
}

/// What waits, in words; `outbox ordering` is said by the monitor.
fn queue_name(queue: &HealthQueue) -> String {
    let (kind, of) = queue.name.split_once(' ').unwrap_or((&queue.name, ""));
    match (queue.name.as_str(), kind) {
        ("bus", _) => "Messages on the bus".to_owned(),
        ("failed events", _) => "Failed events".to_owned(),
        (_, "outbox") => format!("Oldest message of {of} not on the bus yet"),
        (_, "open") => format!("Sagas under way: {of}"),
        (_, "oldest") => format!("Oldest saga: {of}"),
        (_, "model") => format!("Texts that wait for the model: {of}"),
        (_, "paused") => format!("Consumer that waits for an outage to end: {of}"),
        _ => queue.name.clone(),
    }
}

impl ProcessRow {
    fn new(process: ProcessHealth, calendar: &Calendar) -> Self {
        let (badge, state) = match process.state.as_str() {
            "ready" => ("sent", "Ready"),
            "not_ready" => ("pending", "Not ready"),
            "away" => ("failed", "Away"),
            _ => ("off", "Unknown"),
        };
        let (well, troubles): (Vec<HealthCheck>, Vec<HealthCheck>) =
            process.checks.into_iter().partition(|check| check.state == "ok");
        let figure =
            |unit: &str, value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| chart::shown(unit, value));
        let chart = ChartView::new(process.requests, &process.process, calendar);
        Self {
            zone: process.zone,
            version: process.version,
            roles: process.roles.join(", "),
            badge,
            state,
            since: calendar.time(&process.since),
            started: process.started_at.map(|at| calendar.time(&at)),
            requests: figure("per_second", process.requests_per_second),
            failed: figure("share", process.failed),
            latency: figure("seconds", process.latency_p95),
            chart,
            troubles: troubles.into_iter().map(|check| CheckRow::new(check, calendar)).collect(),
            well: well.into_iter().map(|check| check.name).collect::<Vec<_>>().join(", "),
            process: process.process,
        }
    }
}

impl CheckRow {
    fn new(check: HealthCheck, calendar: &Calendar) -> Self {
        let (badge, state) = match check.state.as_str() {
            "down" => ("failed", "Down"),
            "slow" => ("pending", "Slow"),
            "note" => ("off", "Note"),
            _ => ("off", "Unknown"),
        };
        Self { name: check.name, badge, state, since: calendar.time(&check.since), why: check.why }
    }
}

impl ErrorRow {
    fn new(error: HealthError, calendar: &Calendar) -> Self {
        Self {
            at: calendar.time(&error.at),
            process: error.process,
            target: error.target,
            message: error.message,
            count: view::number(&i64::try_from(error.count).unwrap_or(i64::MAX)),
            trace: error.trace_id,
        }
    }
}

impl StartRow {
    fn new(start: HealthStart, calendar: &Calendar) -> Self {
        Self { at: calendar.time(&start.at), process: start.process, version: start.version, roles: start.roles }
    }
}

/// `GET /admin/health`
pub(crate) async fn show(State(web): State<Web>, staff: Staff) -> PageResult {
    let part = HealthPart::new(web.api.shop_health(staff.caller()).await, &staff.calendar())?;
    let mut shell = staff.office("Health");
    shell.refresh_after = Some(RELOAD_AFTER);
    page(&HealthPage { shell, part }).map(never_stored)
}

/// `GET /admin/health/part`: the part that changes.
pub(crate) async fn part(State(web): State<Web>, staff: Staff) -> PageResult {
    let part = HealthPart::new(web.api.shop_health(staff.caller()).await, &staff.calendar())?;
    page(&part).map(never_stored)
}

/// `GET /admin/health/events`: says when the part has changed, as server-sent events.
pub(crate) async fn events(State(web): State<Web>, staff: Staff, headers: HeaderMap) -> Result<Response, Response> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let stream = web.api.shop_health_events(staff.caller(), last).await;
    stream.map(IntoResponse::into_response).map_err(|error: ApiError| error.status().into_response())
}
