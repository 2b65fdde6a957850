//! Asks every process how it is, each fifteen seconds, and makes of it what staff see.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use bookworm_loops::Loop;
use bookworm_registry::{Instance, State};
use futures::future::{join, join_all};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::history;
use crate::{
    service::{Monitor, Own},
    vitals::Vitals,
    watch::Heard,
};

/// Where a process says how it is.
const OF_PROCESS: &str = "/fleet/vitals";
/// From one look to the next.
const EACH: Duration = Duration::from_secs(15);
/// The pause while this process cannot say yet how it is.
const NOT_YET: Duration = Duration::from_millis(100);

/// How this process is, for the monitors of others.
pub fn of_process(own: Own) -> Router {
    Router::new().route(OF_PROCESS, get(move || async move { Json(own().await) }))
}

/// In each of the monitors: with two of them the history outlives one.
pub(crate) fn each_round(monitor: Arc<Monitor>) -> Loop {
    Loop::new("monitor.watch", move |stop| run(monitor.clone(), stop))
}

async fn run(monitor: Arc<Monitor>, stop: CancellationToken) {
    let all = async {
        let own = loop {
            match monitor.own.get() {
                Some(own) => break own,
                None => tokio::time::sleep(NOT_YET).await,
            }
        };
        let mut rounds = tokio::time::interval(EACH);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut takes_over = history::TakeOver::default();
        loop {
            rounds.tick().await;
            takes_over.try_now(&monitor).await;
            monitor.look(own).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = stop.cancelled() => {}
    }
}

impl Monitor {
    /// One round.
    pub(crate) async fn look(&self, own: &Own) {
        let others = self.others.processes().into_iter().filter(|instance| instance.id() != self.process);
        let (own, mut round) = join(own(), join_all(others.map(|instance| self.vitals_of(instance)))).await;
        round.push(Heard { process: self.process.clone(), roles: Vec::new(), leaves: false, vitals: Some(own) });
        let now = self.clock.now();
        let report = {
            let mut watch = self.watch();
            watch.hear(round, now);
            metrics::gauge!("monitor_history_bytes").set(watch.store().bytes() as f64);
            watch.report(&self.process, now)
        };
        self.shown.send_replace(Some(Arc::new(report)));
    }

    async fn vitals_of(&self, instance: Instance) -> Heard {
        let answer = self.others.read(&instance, OF_PROCESS).await;
        let read = |bytes: bytes::Bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        let vitals: Option<Vitals> = match answer.and_then(read) {
            Ok(vitals) => Some(vitals),
            Err(error) => {
                tracing::debug!(process = instance.id(), error, "a process does not say how it is");
                None
            }
        };
        let of_process = |member: &&bookworm_registry::Member| member.instance.id() == instance.id();
        let view = self.directory.view();
        let roles = view.members.iter().filter(of_process).map(|member| member.instance.role().to_owned()).collect();
        // One whose address was configured is named by its address until it says its own name.
        let process = vitals.as_ref().map_or_else(|| instance.id().to_owned(), |vitals| vitals.process.clone());
        Heard { process, roles, leaves: instance.state == State::Draining, vitals }
    }
}
