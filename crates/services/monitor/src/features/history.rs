//! The history goes from one monitor to the next: one that starts takes over what another knows.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};

use crate::{MonitorService, service::Monitor};

/// Where a monitor hands over its history.
const PATH: &str = "/fleet/health/history";
/// For how many rounds after its start a monitor looks for another one.
const ROUNDS: u32 = 8;

pub(crate) fn routes(monitor: Arc<Monitor>) -> Router {
    let give = |State(monitor): State<Arc<Monitor>>| async move { monitor.watch().store().write() };
    Router::new().route(PATH, get(give)).with_state(monitor)
}

/// What is done once after a start.
#[derive(Debug, Default)]
pub(crate) struct TakeOver {
    rounds: u32,
    done: bool,
}

impl TakeOver {
    /// Takes the history of another monitor, if there is one. Its points are put before one's own.
    pub(crate) async fn try_now(&mut self, monitor: &Monitor) {
        self.rounds += 1;
        if self.done || self.rounds > ROUNDS {
            return;
        }
        let view = monitor.directory.view();
        let is_monitor = |id: &str| view.of(MonitorService::NAME).any(|member| member.instance.id() == id);
        let others = monitor.others.processes();
        for other in others.iter().filter(|other| other.id() != monitor.process && is_monitor(other.id())) {
            let Ok(history) = monitor.others.read(other, PATH).await else { continue };
            let Ok(text) = std::str::from_utf8(&history) else { continue };
            let now = monitor.clock.now().micros() / 1000;
            monitor.watch().store().take_over(text, now);
            tracing::info!(from = other.id(), bytes = text.len(), "took over the history of another monitor");
            self.done = true;
            return;
        }
    }
}
