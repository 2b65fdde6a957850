//! The life of a process: build every part, serve, and end without losing anything.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use bookworm_config::{Secret, Settings};
use bookworm_db::Db;
use bookworm_gateway::{Backends, Check, GatewayService, Health, Metrics};
use bookworm_http::Connections;
use bookworm_messaging::{Inbox, Policy, housekeeping, relay};
use bookworm_telemetry::Telemetry;
use futures::future::BoxFuture;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Role, Roles, descriptors,
    foundation::{Foundation, Owner},
    part::Part,
    roles,
};

/// A shop that is ready to answer.
pub struct Shop {
    listener: TcpListener,
    connections: Connections,
    router: Router,
    workers: JoinSet<()>,
    relays: JoinSet<()>,
    stop_relays: CancellationToken,
    stop_serving: CancellationToken,
    dbs: Vec<Db>,
    foundation: Foundation,
    first_admin: Option<FirstAdmin>,
    on_stop: Vec<BoxFuture<'static, ()>>,
}

/// The administrator made at the first start; the password is known only here and now.
pub struct FirstAdmin {
    /// The account's address.
    pub email: String,
    /// Its password.
    pub password: String,
}

impl Shop {
    /// Takes the address, opens the data, builds every role of this process and starts its work. Requests are answered
    /// once [`serve`](Self::serve) runs; until then they wait.
    ///
    /// # Errors
    /// When the address is taken, the data cannot be used, or the roles do not fit together.
    pub async fn open(settings: Settings, telemetry: Telemetry) -> anyhow::Result<Self> {
        Self::open_recreating(settings, telemetry, Vec::new()).await
    }

    /// The same; databases named in `recreate` are made anew, empty, where they are missing or belong to another shop.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_recreating(
        mut settings: Settings,
        telemetry: Telemetry,
        recreate: Vec<String>,
    ) -> anyhow::Result<Self> {
        let roles = Roles::parse(&settings.roles)?;
        let connections = descriptors::fit(&mut settings);
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            format!("cannot listen on {} (--listen 127.0.0.1:0 takes any free port)", settings.listen)
        })?;
        let foundation = Foundation::open(settings, listener.local_addr()?, Owner::Exclusive, recreate).await?;
        let roles::Built { part, pages, first_admin } = roles::build(&foundation, &roles).await?;
        foundation.inventory.close().await;
        let Part { api, others, dbs, notes, outboxes, consumers, workers, on_api, on_stop } = part;

        let stop_serving = CancellationToken::new();
        let gateway = GatewayService::new(
            foundation.settings.gateway.clone(),
            foundation.verifier.clone(),
            foundation.bus.clone(),
            foundation.clock.clone(),
            None,
        );
        let health = Health::new(checks(&dbs, &foundation), stop_serving.clone()).with_notes(notes);
        let api = gateway.api(api, &health);
        on_api.into_iter().for_each(|connect| connect(api.clone()));
        let backends = Backends {
            pages: pages.map(|pages| pages(api.clone())),
            others,
            health,
            metrics: metrics(telemetry.clone(), &foundation),
            https: foundation.settings.secure_cookies(),
        };
        let router = gateway.front(api, backends);

        let stop = &foundation.stop_work;
        let mut running = JoinSet::new();
        for worker in workers.into_iter().chain(gateway.workers(stop.clone())) {
            running.spawn(worker);
        }
        let policy = policy(&foundation.settings);
        for consumer in consumers.into_iter().chain(gateway.consumers()) {
            running.spawn(consumer.run(foundation.bus.clone(), foundation.clock.clone(), policy, stop.clone()));
        }
        let retention = Duration::from_secs(u64::from(foundation.settings.messaging.retention_days) * 24 * 3600);
        let receivers = outboxes.iter().map(|(db, _)| Arc::new(db.clone()) as Arc<dyn Inbox>).collect();
        running.spawn(housekeeping(
            receivers,
            foundation.bus.clone(),
            foundation.clock.clone(),
            retention,
            stop.clone(),
        ));
        let until_stopped = stop.clone();
        running.spawn(async move {
            tokio::select! { () = telemetry.upkeep() => {}, () = until_stopped.cancelled() => {} }
        });
        let (mut relays, stop_relays) = (JoinSet::new(), CancellationToken::new());
        for (db, outbox) in outboxes {
            relays.spawn(relay(outbox.source(&db), foundation.bus.clone(), stop_relays.clone()));
        }
        Ok(Self {
            listener,
            connections,
            router,
            workers: running,
            relays,
            stop_relays,
            stop_serving,
            dbs,
            foundation,
            first_admin,
            on_stop,
        })
    }

    /// The address that requests come to.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// The administrator that this start made, if it made one.
    pub fn take_first_admin(&mut self) -> Option<FirstAdmin> {
        self.first_admin.take()
    }

    /// The router behind the door, to call without a socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Answers requests until `shutdown`. Then: takes no new ones, finishes those in flight, ends reactions and loops,
    /// carries the last messages to the bus, and closes the databases.
    pub async fn serve(self, shutdown: CancellationToken) {
        let grace = self.foundation.settings.shutdown_grace();
        let stop_serving = self.stop_serving.clone();
        let watcher = tokio::spawn(async move {
            shutdown.cancelled().await;
            stop_serving.cancel();
        });
        let stopping = self.stop_serving.clone();
        let on_stop = async move {
            stopping.cancelled().await;
            let mut farewells = JoinSet::new();
            self.on_stop.into_iter().for_each(|farewell| drop(farewells.spawn(farewell)));
            finish("long connections", farewells, grace).await;
        };
        let serving = bookworm_http::serve(self.listener, self.router, self.connections, self.stop_serving, grace);
        let (drained, ()) = tokio::join!(serving, on_stop);
        watcher.abort();
        tracing::info!(?drained, "no more requests");
        self.foundation.stop_work.cancel();
        finish("reactions and loops", self.workers, grace).await;
        self.stop_relays.cancel();
        finish("outbox relays", self.relays, grace).await;
        for db in self.dbs {
            db.close().await;
        }
        tracing::info!("closed");
    }
}

async fn finish(what: &str, mut tasks: JoinSet<()>, grace: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all).await.is_err() {
        // Nothing is lost: what they were doing is still in the databases and goes on at the next start.
        tracing::warn!(what, left = tasks.len(), "did not end in time");
    }
}

fn policy(settings: &Settings) -> Policy {
    let messaging = &settings.messaging;
    Policy {
        max_attempts: messaging.max_attempts,
        initial_backoff: Duration::from_millis(messaging.backoff_initial_ms),
        max_backoff: Duration::from_secs(messaging.backoff_max_seconds),
        workers: messaging.workers_per_consumer as usize,
    }
}

/// Each part's own check. A database must take a change: one on a full or read-only disk still answers questions.
fn checks(dbs: &[Db], foundation: &Foundation) -> Vec<(&'static str, Check)> {
    let mut checks: Vec<(&'static str, Check)> = Vec::new();
    for db in dbs {
        let name = Role::ALL.into_iter().map(Role::name).find(|name| *name == db.name()).unwrap_or("sandbox");
        checks.push((name, writes(db)));
    }
    checks.push(("bus", writes(&foundation.bus_db)));
    checks
}

fn writes(db: &Db) -> Check {
    let db = db.clone();
    Arc::new(move || {
        let db = db.clone();
        Box::pin(async move { db.check_write().await.map_err(|error| error.to_string()) })
    })
}

fn metrics(telemetry: Telemetry, foundation: &Foundation) -> Metrics {
    let bus = foundation.bus.clone();
    let token = foundation.settings.telemetry.metrics_token.clone();
    Metrics::new(token.as_ref().map(Secret::expose), move || {
        let (telemetry, bus) = (telemetry.clone(), bus.clone());
        Box::pin(async move {
            if let Ok(backlog) = bus.backlog().await {
                metrics::gauge!("bus_backlog").set(backlog as f64);
            }
            telemetry.render()
        })
    })
}
