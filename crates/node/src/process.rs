//! The life of a process: build every part, serve, and end without losing anything.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use bookworm_config::{Secret, Settings};
use bookworm_gateway::{Backends, Check, Dependencies, GatewayService, Health, Metrics};
use bookworm_http::Connections;
use bookworm_loops::{Gone, Loop, Supervisor};
use bookworm_messaging::{Inbox, OutboxSource, Policy, housekeeping, relay};
use bookworm_telemetry::Telemetry;
use futures::future::BoxFuture;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Roles, descriptors,
    foundation::{Foundation, Owner},
    part::{Part, Store},
    roles,
};

/// A shop that is ready to answer.
pub struct Shop {
    listener: TcpListener,
    connections: Connections,
    router: Router,
    working: Supervisor,
    relays: Supervisor,
    stop_serving: CancellationToken,
    /// How each store is closed.
    closing: Vec<BoxFuture<'static, ()>>,
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
        let Part { api, others, grpc: _, mut stores, notes, consumers, loops, on_api, on_stop } = part;
        stores.push(Store::database(&foundation.bus_db));
        let mut sorted = Sorted::default();
        stores.into_iter().for_each(|store| sorted.add(store));
        let Sorted { checks, inboxes, outboxes, closing } = sorted;
        let gone = Gone::default();

        let stop_serving = CancellationToken::new();
        let gateway = GatewayService::new(Dependencies {
            settings: foundation.settings.gateway.clone(),
            verifier: foundation.verifier.clone(),
            bus: foundation.bus.clone(),
            clock: foundation.clock.clone(),
            shared_cache: None,
        });
        let lost = gone.clone();
        let health =
            Health::new(checks, stop_serving.clone()).with_notes(notes).with_gone(Arc::new(move || lost.names()));
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

        let mut working = Supervisor::new(foundation.stop_work.clone(), gone.clone());
        loops.into_iter().chain(gateway.loops()).for_each(|work| working.start(work));
        let policy = policy(&foundation.settings);
        for consumer in consumers.into_iter().chain(gateway.consumers()) {
            let (bus, clock) = (foundation.bus.clone(), foundation.clock.clone());
            let name = format!("consumer {}", consumer.name());
            working.start(Loop::new(name, move |stop| consumer.clone().run(bus.clone(), clock.clone(), policy, stop)));
        }
        let retention = Duration::from_secs(u64::from(foundation.settings.messaging.retention_days) * 24 * 3600);
        working.start(housekeeping(inboxes, foundation.bus.clone(), foundation.clock.clone(), retention));
        working.start(Loop::new("telemetry", move |stop| {
            let telemetry = telemetry.clone();
            async move {
                tokio::select! { () = telemetry.upkeep() => {}, () = stop.cancelled() => {} }
            }
        }));
        let mut relays = Supervisor::new(CancellationToken::new(), gone);
        for outbox in outboxes {
            let bus = foundation.bus.clone();
            let name = format!("relay {}", outbox.name());
            relays.start(Loop::new(name, move |stop| relay(outbox.clone(), bus.clone(), stop)));
        }
        Ok(Self {
            listener,
            connections,
            router,
            working,
            relays,
            stop_serving,
            closing,
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

    /// The router, to call without a socket.
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
            let all = async { while farewells.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(grace, all).await;
            report("long connections", farewells.len());
        };
        let serving = bookworm_http::serve(self.listener, self.router, self.connections, self.stop_serving, grace);
        let (drained, ()) = tokio::join!(serving, on_stop);
        watcher.abort();
        tracing::info!(?drained, "no more requests");
        report("reactions and loops", self.working.finish(grace).await);
        report("outbox relays", self.relays.finish(grace).await);
        for close in self.closing {
            close.await;
        }
        tracing::info!("closed");
    }
}

fn report(what: &str, left: usize) {
    if left > 0 {
        // Nothing is lost: what they were doing is still in the databases and goes on at the next start.
        tracing::warn!(what, left, "did not end in time");
    }
}

/// What the stores of all roles bring, by what it is for.
#[derive(Default)]
struct Sorted {
    checks: Vec<(String, Check)>,
    inboxes: Vec<Arc<dyn Inbox>>,
    outboxes: Vec<Arc<dyn OutboxSource>>,
    closing: Vec<BoxFuture<'static, ()>>,
}

impl Sorted {
    fn add(&mut self, store: Store) {
        let Store { name, check, inbox, outbox, close } = store;
        self.checks.push((name, check));
        self.inboxes.extend(inbox);
        self.outboxes.extend(outbox);
        self.closing.push(close);
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
