//! How this process is, as it says to monitors.

use std::sync::Arc;

use bookworm_contracts::rest::operations::{HealthCheck, HealthError};
use bookworm_gateway::{Health, Metrics};
use bookworm_kernel::Timestamp;
use bookworm_monitor::{Own, Vitals};

use crate::{Role, Roles, foundation::Foundation};

/// What the process says whenever it is asked.
pub fn of(foundation: &Foundation, roles: &Roles, health: Health, metrics: Metrics) -> Own {
    let (process, zone) = (foundation.fleet.instance.clone(), foundation.settings.fleet.zone.clone());
    let roles: Vec<String> = roles.iter().map(Role::name).map(str::to_owned).collect();
    let (clock, started_at) = (foundation.clock.clone(), foundation.clock.now());
    Arc::new(move || {
        let (process, roles, zone) = (process.clone(), roles.clone(), zone.clone().unwrap_or_default());
        let (health, metrics, now) = (health.clone(), metrics.clone(), clock.now());
        Box::pin(async move {
            Vitals {
                roles,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                zone,
                started_at,
                ready: health.is_ready(),
                checks: checks(&health, now).await,
                errors: errors(&process),
                metrics: metrics.text().await,
                process,
            }
        })
    })
}

/// What it depends on, what it needs of itself, and what it can do without. The latter two do not know since when: for them
/// it is now, and monitors remember.
async fn checks(health: &Health, now: Timestamp) -> Vec<HealthCheck> {
    let said = |state: &'static str| {
        move |(name, answer): (String, String)| match answer.as_str() {
            "ok" => HealthCheck { name, state: "ok".to_owned(), since: now, why: String::new() },
            _ => HealthCheck { name, state: state.to_owned(), since: now, why: answer },
        }
    };
    let parts = health.looks().await.into_iter().map(|look| HealthCheck {
        name: look.part,
        state: look.state.to_owned(),
        since: look.since,
        why: look.why,
    });
    parts
        .chain(health.own().into_iter().map(said("down")))
        .chain(health.notes().into_iter().map(said("note")))
        .collect()
}

fn errors(process: &str) -> Vec<HealthError> {
    let shown = |error: bookworm_telemetry::LoggedError| HealthError {
        process: process.to_owned(),
        at: Timestamp::from_micros(error.at),
        target: error.target,
        message: error.message,
        count: error.count,
        trace_id: error.trace_id,
    };
    bookworm_telemetry::errors().into_iter().map(shown).collect()
}
