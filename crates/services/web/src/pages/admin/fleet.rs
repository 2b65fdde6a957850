//! The processes that the shop runs in.

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::operations::{Fleet, FleetInstance, FleetKind};

use super::Staff;
use crate::{
    error::PageResult,
    layout::{Shell, never_stored, page},
    service::Web,
    view::{self, Calendar},
};

#[derive(Template)]
#[template(path = "admin/fleet.html")]
struct FleetPage {
    shell: Shell,
    status: StatusPart,
}

/// The part that changes by itself, alone for the island.
#[derive(Template)]
#[template(path = "admin/fleet_status.html")]
struct StatusPart {
    summary: String,
    note: Option<&'static str>,
    /// The process that is the whole shop.
    alone: Option<Alone>,
    rows: Vec<Row>,
}

struct Alone {
    process: String,
    version: String,
    /// HTML.
    started: String,
}

struct Row {
    role: String,
    process: String,
    zone: String,
    address: Option<String>,
    badge: &'static str,
    state: &'static str,
    /// Since when it is out, as HTML, and why.
    out: Option<(String, String)>,
    /// Whom it does not reach.
    failing: String,
    /// Whom it leaves alone.
    ejected: String,
    requests: String,
    version: String,
    /// HTML.
    started: String,
}

impl StatusPart {
    fn new(fleet: Fleet, calendar: &Calendar) -> Self {
        let stale = "The registry isn’t answering, so this is what it said last.";
        let unlisted = "Only this process is listed, because the others don’t report how they are. To see them here, \
                        set up NATS, which they then announce themselves through.";
        let note = match fleet.kind {
            FleetKind::Registry => (!fleet.current).then_some(stale),
            FleetKind::Settings => Some(unlisted),
            FleetKind::OneProcess => None,
        };
        if fleet.kind == FleetKind::OneProcess {
            let alone = fleet.instances.first().map(|instance| Alone {
                process: fleet.answered_by.clone(),
                version: instance.version.clone(),
                started: calendar.time(&instance.started_at),
            });
            let summary = "The whole shop runs in one process.".to_owned();
            return Self { summary, note, alone, rows: Vec::new() };
        }
        let rows: Vec<Row> = fleet.instances.into_iter().map(|instance| Row::new(instance, calendar)).collect();
        Self { summary: summary(&rows), note, alone: None, rows }
    }
}

fn summary(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "No process has announced itself yet.".to_owned();
    }
    let of = |state: &str| rows.iter().filter(|row| row.state == state).count();
    let all = if rows.len() == 1 { "1 instance".to_owned() } else { format!("{} instances", rows.len()) };
    let troubles: Vec<String> = [OUT, STARTING, STOPPING, UNKNOWN]
        .into_iter()
        .filter(|state| of(state) > 0)
        .map(|state| format!("{} {}", of(state), state.to_lowercase()))
        .collect();
    match troubles.is_empty() {
        true => format!("{all}, all ready."),
        false => format!("{all}: {} ready, {}.", of(READY), troubles.join(", ")),
    }
}

const READY: &str = "Ready";
const STARTING: &str = "Starting";
const STOPPING: &str = "Stopping";
const OUT: &str = "Out";
const UNKNOWN: &str = "Unknown";

impl Row {
    fn new(instance: FleetInstance, calendar: &Calendar) -> Self {
        let (badge, state) = match (&instance.verdict, instance.state.as_str()) {
            (Some(_), _) => ("failed", OUT),
            (None, "ready") => ("sent", READY),
            (None, "starting") => ("pending", STARTING),
            (None, "draining") => ("pending", STOPPING),
            (None, _) => ("off", UNKNOWN),
        };
        Self {
            role: instance.role,
            process: instance.instance,
            zone: instance.zone,
            address: instance.address,
            badge,
            state,
            out: instance.verdict.map(|verdict| (calendar.time(&verdict.since), verdict.reason)),
            failing: instance.open_breakers.join(", "),
            ejected: instance.ejected.join(", "),
            requests: view::number(&i64::try_from(instance.requests).unwrap_or(i64::MAX)),
            version: instance.version,
            started: calendar.time(&instance.started_at),
        }
    }
}

/// `GET /admin/fleet`
pub(crate) async fn show(State(web): State<Web>, staff: Staff) -> PageResult {
    let status = StatusPart::new(web.api.fleet(staff.caller()).await?, &staff.calendar());
    page(&FleetPage { shell: staff.office("Processes"), status }).map(never_stored)
}

/// `GET /admin/fleet/status`: the part that changes.
pub(crate) async fn status(State(web): State<Web>, staff: Staff) -> PageResult {
    let status = StatusPart::new(web.api.fleet(staff.caller()).await?, &staff.calendar());
    page(&status).map(never_stored)
}
