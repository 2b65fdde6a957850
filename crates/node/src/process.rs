//! The life of a process: build every part, serve, and end without losing anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use bookworm_config::{Secret, Settings};
use bookworm_contracts::rest::operations::FleetKind;
use bookworm_db::Db;
use bookworm_fleet::Drain;
use bookworm_gateway::{Check, Dependencies, GatewayService, Health, KnownFleet, Metrics, Note};
use bookworm_http::{Connections, Drained, auth::TokenVerifier, tls::Tls};
use bookworm_loops::{Gone, Loop, Supervisor};
use bookworm_messaging::{Inbox, OutboxSource, Policy, housekeeping, relay};
use bookworm_resilience::Deadline;
use bookworm_telemetry::Telemetry;
use bookworm_trace::Bound;
use futures::future::BoxFuture;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Role, Roles, descriptors, farewell,
    foundation::{Addresses, Foundation, Owner},
    listeners::{self, Brought},
    membership::{self, HasStores, Membership, Requests},
    part::{Capability, Part, Store},
    redis, roles, vitals,
};

/// How often the keys for access tokens are fetched; new ones are published for longer before they sign.
const KEYS_EVERY: Duration = Duration::from_secs(60);
/// The same, while there are none.
const KEYS_AGAIN: Duration = Duration::from_secs(1);

/// How long closing the databases may take where nothing is left of the budget.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);

/// How often the recent traces are tidied.
const TRACES_EVERY: Duration = Duration::from_secs(5);

/// A shop that is ready to answer, or a part of one.
pub struct Shop {
    public: Option<Serving>,
    internal: Option<Serving>,
    operations: Option<Serving>,
    membership: Membership,
    capabilities: Vec<Capability>,
    has_stores: HasStores,
    working: Supervisor,
    relays: Supervisor,
    draining: CancellationToken,
    drain: Drain,
    health: Health,
    /// How each store is closed.
    closing: Vec<BoxFuture<'static, ()>>,
    foundation: Foundation,
    first_admin: Option<FirstAdmin>,
    on_stop: Vec<BoxFuture<'static, ()>>,
}

/// A listener, and what it answers.
struct Serving {
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    connections: Connections,
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
        Self::open_recreating(settings, telemetry, Vec::new(), &CancellationToken::new()).await
    }

    /// The same; databases named in `recreate` are made anew, empty, where they are missing or belong to another shop.
    /// Ends as soon as `stop` says so, whatever it waits for.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`StartStopped`].
    pub async fn open_recreating(
        mut settings: Settings,
        telemetry: Telemetry,
        recreate: Vec<String>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let roles = Roles::parse(&settings.roles)?;
        remember_traces(&settings.telemetry);
        let connections = descriptors::fit(&mut settings);
        let public = if roles.has(Role::Gateway) { Some(listen("listen", settings.listen).await?) } else { None };
        let wanted = &settings.fleet;
        let internal = listen_if("fleet.internal_listen", wanted.internal_listen).await?;
        let operations = listen_if("fleet.operations_listen", wanted.operations_listen).await?;
        let addresses = Addresses {
            public: public.as_ref().map_or(Ok(settings.listen), TcpListener::local_addr)?,
            internal: internal.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        let founded = unless_stopped(stop, async {
            let foundation = Foundation::open(settings, addresses, Owner::Exclusive, recreate).await?;
            membership::name_is_free(&foundation, &roles).await?;
            Ok(foundation)
        });
        let foundation = founded.await?;
        let (gone, requests) = (Gone::default(), Requests::default());
        let membership = Membership::begin(&foundation, &roles, &requests, &gone)?;
        let built = async {
            foundation.fleet.meet(&foundation.settings, &roles, &foundation.directory).await?;
            roles::build(&foundation, &roles).await
        };
        let part = match unless_stopped(stop, built).await {
            Ok(part) => part,
            Err(error) => {
                membership.undo().await;
                return Err(error);
            }
        };
        foundation.inventory.close().await;
        let Part {
            api,
            others,
            processes,
            grpc,
            mut stores,
            mut notes,
            capabilities,
            consumers,
            mut loops,
            pages,
            first_admin,
            on_api,
            on_vitals,
            on_stop,
            ..
        } = part;
        notes.extend(foundation.redis.as_ref().map(|redis| ("redis", redis.note())));
        loops.extend(foundation.redis.as_ref().map(redis::Shared::connecting));
        notes.extend(foundation.nats.as_ref().map(|_| ("registry", membership::note(&foundation.directory))));
        if roles.has(Role::Gateway) {
            notes.extend(elsewhere(&foundation, &roles));
        }
        stores.push(Store::database(&foundation.bus_db));
        let mut sorted = Sorted::default();
        stores.into_iter().for_each(|store| sorted.add(store));
        let Sorted { checks, inboxes, outboxes, closing } = sorted;

        let (draining, drain) = (CancellationToken::new(), Drain::default());
        let gateway = roles.has(Role::Gateway).then(|| gateway(&foundation));
        let lost = gone.clone();
        let health = Health::new(checks, draining.clone(), foundation.clock.clone())
            .with_own(own_checks(&foundation, &drain))
            .with_process(name(&foundation, &roles))
            .with_notes(notes)
            .with_gone(Arc::new(move || lost.names()));
        let metrics = metrics(telemetry.clone(), &foundation);
        let own = vitals::of(&foundation, &roles, health.clone(), metrics.clone());
        on_vitals.into_iter().for_each(|begin| begin(own.clone()));
        let processes = processes.merge(drain.routes()).merge(bookworm_monitor::of_process(own));
        let brought = Brought { api, others, grpc, pages, on_api, processes };
        let routers = listeners::build(&foundation, &roles, gateway.as_ref(), brought, &health, &metrics);

        let mut working = Supervisor::new(foundation.stop_work.clone(), gone.clone())
            .leading(foundation.leases.clone(), foundation.fleet.instance.clone());
        loops.into_iter().for_each(|work| working.start(work));
        let (looking, has_stores) = membership::look_at_stores(health.clone());
        if foundation.fleet.address.is_some() {
            working.start(looking);
        }
        gateway.iter().flat_map(|gateway| gateway.loops(&health)).for_each(|work| working.start(work));
        working.start(follow_keys(foundation.verifier.clone()));
        if let Some(tls) = foundation.fleet.tls.clone() {
            working.start(Loop::new("certificates", move |stop| tls.clone().follow(stop)));
        }
        let policy = policy(&foundation.settings);
        for consumer in consumers.into_iter().chain(gateway.iter().flat_map(GatewayService::consumers)) {
            let (bus, clock) = (foundation.bus.clone(), foundation.clock.clone());
            let name = format!("consumer {}", consumer.name());
            working.start(Loop::new(name, move |stop| consumer.clone().run(bus.clone(), clock.clone(), policy, stop)));
        }
        let retention = Duration::from_secs(u64::from(foundation.settings.messaging.retention_days) * 24 * 3600);
        housekeeping(inboxes, foundation.bus.clone(), foundation.clock.clone(), retention)
            .into_iter()
            .for_each(|work| working.start(work));
        working.start(Loop::new("telemetry", move |stop| {
            let telemetry = telemetry.clone();
            async move {
                tokio::select! { () = telemetry.upkeep() => {}, () = tidy_traces() => {}, () = stop.cancelled() => {} }
            }
        }));
        let mut relays = Supervisor::new(CancellationToken::new(), gone);
        for outbox in outboxes {
            let (bus, clock) = (foundation.bus.clone(), foundation.clock.clone());
            let name = format!("relay {}", outbox.name());
            relays.start(Loop::new(name, move |stop| relay(outbox.clone(), bus.clone(), clock.clone(), stop)));
        }
        let serving = |listener: Option<TcpListener>, tls: Option<Tls>, router: Option<Router>, connections| {
            let counted = |router: Router| {
                let stack = bookworm_http::Stack::new().with_state(requests.clone(), Requests::count);
                router.layer(stack.with_state(draining.clone(), farewell::close_kept))
            };
            listener.zip(router.map(counted)).map(|(listener, router)| Serving { listener, tls, router, connections })
        };
        // All requests of another process come from one address.
        let of_processes = Connections { all: connections.all, each: connections.all };
        Ok(Self {
            public: serving(public, None, routers.public, connections),
            internal: serving(internal, foundation.fleet.tls.clone(), routers.internal, of_processes),
            operations: serving(operations, None, Some(routers.operations), of_processes),
            membership,
            capabilities,
            has_stores,
            working,
            relays,
            draining,
            drain,
            health,
            closing,
            foundation,
            first_admin,
            on_stop,
        })
    }

    /// The address that the public's requests come to; `None` without a gateway.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        address(self.public.as_ref())
    }

    /// The address that requests of the shop's other processes come to.
    #[must_use]
    pub fn internal_address(&self) -> Option<SocketAddr> {
        address(self.internal.as_ref())
    }

    /// The address that operators' requests come to.
    #[must_use]
    pub fn operations_address(&self) -> Option<SocketAddr> {
        address(self.operations.as_ref())
    }

    /// The administrator that this start made, if it made one.
    pub fn take_first_admin(&mut self) -> Option<FirstAdmin> {
        self.first_admin.take()
    }

    /// The public's router, to call without a socket; without a gateway an empty one.
    pub fn router(&self) -> Router {
        self.public.as_ref().map(|public| public.router.clone()).unwrap_or_default()
    }

    /// Answers requests until `shutdown`. Then, all within `shutdown_grace_seconds`: says that it is not ready and goes on
    /// for a moment, so that others notice; leaves the registry; takes no new requests and finishes those that it has;
    /// ends reactions and loops; carries the last messages to the bus; and closes the databases.
    pub async fn serve(self, shutdown: CancellationToken) {
        let settings = &self.foundation.settings;
        let drain = settings.drain();
        // What is left after the draining is for requests first; a quarter is reserved for what runs beside them.
        let for_requests = settings.shutdown_grace().saturating_sub(drain).mul_f64(0.75);
        let total = settings.shutdown_grace();
        let (draining, stop_serving, closed) =
            (self.draining.clone(), CancellationToken::new(), CancellationToken::new());
        let stop = stop_serving.clone();
        let health = self.health.clone();
        let announced = self.membership.report(
            move || health.is_ready(),
            self.has_stores,
            self.capabilities,
            self.drain.clone(),
            draining.clone(),
        );
        let membership = self.membership;
        let watcher = async move {
            shutdown.cancelled().await;
            let budget = Deadline::after(total);
            draining.cancel();
            tokio::time::sleep(drain.min(budget.left())).await;
            // Before the listeners close, so that nobody meets a closed one.
            let following = membership.withdraw().await;
            stop.cancel();
            (budget, following)
        };
        let peers = self.foundation.peers.clone();
        let stopping = stop_serving.clone();
        let on_stop = async move {
            stopping.cancelled().await;
            let mut farewells = JoinSet::new();
            self.on_stop.into_iter().for_each(|farewell| drop(farewells.spawn(farewell)));
            farewells.spawn(async move { peers.leave(for_requests).await });
            let all = async { while farewells.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(for_requests, all).await;
            report("long connections", farewells.len());
        };
        // Operators see it to the end.
        let operations = tokio::spawn(serve(self.operations, closed.clone(), Duration::ZERO));
        let ((budget, following), (), public, internal, ()) = tokio::join!(
            watcher,
            announced,
            serve(self.public, stop_serving.clone(), for_requests),
            serve(self.internal, stop_serving.clone(), for_requests),
            on_stop
        );
        tracing::info!(?public, ?internal, "no more requests");
        report("reactions and loops", self.working.finish(budget.left().mul_f64(0.75)).await);
        report("outbox relays", self.relays.finish(budget.left()).await);
        report("the registry", following.finish(budget.left()).await);
        report("databases", close_all(self.closing, budget.left().max(CLOSES_WITHIN)).await);
        closed.cancel();
        let _ = operations.await;
        tracing::info!("closed");
    }
}

/// A start that was told to stop before it was over.
#[derive(Debug, thiserror::Error)]
#[error("the start was told to stop")]
pub struct StartStopped;

async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(StartStopped.into()))
}

async fn listen(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({key}; port 0 takes any free port)"))
}

async fn listen_if(key: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => listen(key, address).await.map(Some),
        None => Ok(None),
    }
}

fn address(serving: Option<&Serving>) -> Option<SocketAddr> {
    serving.and_then(|serving| serving.listener.local_addr().ok())
}

/// Answers on a listener until `stop`; `None` where there is no such listener.
async fn serve(serving: Option<Serving>, stop: CancellationToken, grace: Duration) -> Option<Drained> {
    let Serving { listener, tls, router, connections } = serving?;
    Some(bookworm_http::serve(listener, tls, router, connections, stop, grace).await)
}

fn gateway(foundation: &Foundation) -> GatewayService {
    GatewayService::new(Dependencies {
        settings: foundation.settings.gateway.clone(),
        verifier: foundation.verifier.clone(),
        bus: foundation.bus.clone(),
        clock: foundation.clock.clone(),
        shared_cache: foundation.redis.as_ref().map(redis::Shared::cache),
        fleet: known_fleet(foundation),
        traces: listeners::known_traces(foundation),
        shared_limits: foundation.redis.as_ref().map(redis::Shared::limits),
    })
}

/// Keeps the recent traces of this process in memory, where the settings leave room for them.
fn remember_traces(settings: &bookworm_config::Telemetry) {
    let bytes = settings.recent_traces_mib as usize * 1024 * 1024;
    let age = Duration::from_secs(u64::from(settings.recent_traces_minutes) * 60);
    if bytes > 0 {
        bookworm_trace::remember(Bound { bytes, age });
    }
}

/// What staff see of the shop's processes.
fn known_fleet(foundation: &Foundation) -> KnownFleet {
    let kind = match (&foundation.nats, foundation.settings.fleet.has_others()) {
        (Some(_), _) => FleetKind::Registry,
        (None, true) => FleetKind::Settings,
        (None, false) => FleetKind::OneProcess,
    };
    KnownFleet { directory: foundation.directory.clone(), kind, process: foundation.fleet.instance.clone() }
}

/// What operators call this process.
fn name(foundation: &Foundation, roles: &Roles) -> serde_json::Value {
    serde_json::json!({
        "instance": foundation.fleet.instance,
        "zone": foundation.settings.fleet.zone,
        "version": env!("CARGO_PKG_VERSION"),
        "roles": roles.iter().map(Role::name).collect::<Vec<_>>(),
    })
}

/// Whether the roles in other processes are there, and what customers notice when one is not.
fn elsewhere(foundation: &Foundation, roles: &Roles) -> Vec<(&'static str, Note)> {
    let absent = Role::ALL.into_iter().filter(|role| !roles.has(*role) && foundation.fleet.reaches(*role));
    let note = |role: Role| -> (&'static str, Note) {
        let peers = foundation.peers.clone();
        let note: Note = Arc::new(move || match peers.is_away(role.name()) {
            true => format!("away: {}", role.without()),
            false => "ok".to_owned(),
        });
        (role.name(), note)
    };
    absent.map(note).collect()
}

/// What this process needs of itself before requests come to it.
fn own_checks(foundation: &Foundation, drain: &Drain) -> Vec<(&'static str, Note)> {
    let drain = drain.clone();
    let drained: Note = Arc::new(move || match drain.is_asked() {
        true => "drained by an operator".to_owned(),
        false => "ok".to_owned(),
    });
    let mut checks = vec![("drain", drained)];
    if foundation.verifier.fetches() {
        let verifier = foundation.verifier.clone();
        let keys: Note = Arc::new(move || match verifier.has_keys() {
            true => "ok".to_owned(),
            false => "the keys for access tokens were not fetched yet".to_owned(),
        });
        checks.push(("keys", keys));
    }
    checks
}

/// Fetches the keys for access tokens now and each minute; until there are some, each second.
fn follow_keys(verifier: Arc<TokenVerifier>) -> Loop {
    Loop::new("keys", move |stop| {
        let verifier = verifier.clone();
        async move {
            while !stop.is_cancelled() {
                if let Err(error) = verifier.refresh().await {
                    tracing::warn!(error, "the keys for access tokens cannot be fetched");
                }
                let pause = if verifier.has_keys() { KEYS_EVERY } else { KEYS_AGAIN };
                tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => {} }
            }
        }
    })
}

/// Closes all at once, for so long at most: what runs on a connection to a server that has fallen silent never ends.
/// Returns how many are not closed.
async fn close_all(closing: Vec<BoxFuture<'static, ()>>, within: Duration) -> usize {
    let mut closing: JoinSet<()> = closing.into_iter().collect();
    let all = async { while closing.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(within, all).await;
    closing.len()
}

/// Forgets traces that are too old, also while nobody asks.
async fn tidy_traces() {
    let mut tick = tokio::time::interval(TRACES_EVERY);
    loop {
        tick.tick().await;
        if let Some(recent) = bookworm_trace::recent() {
            recent.tidy();
        }
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
    let (bus, databases) = (foundation.bus.clone(), foundation.inventory.opened());
    let token = foundation.settings.telemetry.metrics_token.clone();
    Metrics::new(token.as_ref().map(Secret::expose), move || {
        let (telemetry, bus) = (telemetry.clone(), bus.clone());
        databases.iter().for_each(Db::show_connections);
        Box::pin(async move {
            if let Ok(backlog) = bus.backlog().await {
                metrics::gauge!("bus_backlog").set(backlog as f64);
            }
            if let Ok(dead) = bus.dead_letters().count().await {
                metrics::gauge!("dead_letters").set(dead as f64);
            }
            telemetry.render()
        })
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_database_that_cannot_be_closed_does_not_keep_the_process_from_ending() {
        let (quick, never) = (|| async {}.boxed(), || futures::future::pending().boxed());
        let began = tokio::time::Instant::now();
        assert_eq!(close_all(vec![quick(), never(), quick()], Duration::from_secs(7)).await, 1);
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        assert_eq!(close_all(vec![quick(), quick()], Duration::from_secs(7)).await, 0);
    }
}
