//! This process in the registry: it announces each of its roles there, and follows who else is there.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use axum::{
    extract::{Request, State as Extracted},
    response::Response,
};
use bookworm_fleet::{Drain, Peers};
use bookworm_gateway::{Health, Note};
use bookworm_http::Next;
use bookworm_kernel::Timestamp;
use bookworm_loops::{Gone, Loop, Supervisor};
use bookworm_registry::{Announcer, Directory, Instance, Key, Load, RENEW_EACH, Revised, State};
use tokio_util::sync::CancellationToken;

use crate::{Roles, foundation::Foundation, part::Capability};

/// How often a process looks whether it can take requests: while it cannot, and once it can.
const LOOKS_EACH: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long the registry is waited for when this process leaves it; without an answer its entries expire.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// How long another process of the same name has to show that it is alive, beyond the time after which it announces
/// itself again; and how often to look.
const SHOWS_ITSELF_WITHIN: Duration = RENEW_EACH.saturating_add(Duration::from_secs(2));
const LOOKS_FOR_IT_EACH: Duration = Duration::from_millis(500);

/// Requests that this process is answering. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<AtomicU64>);

/// One of them.
struct Answering(Requests);

impl Requests {
    fn begin(&self) -> Answering {
        self.0.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// The layer that counts.
    pub async fn count(Extracted(requests): Extracted<Self>, request: Request, next: Next) -> Response {
        let _answering = requests.begin();
        next.run(request).await
    }

    fn load(&self, peers: &Peers) -> Load {
        let open = bookworm_resilience::not_closed().into_iter().map(|(name, _)| name.to_owned());
        Load {
            requests: self.0.load(Ordering::Relaxed),
            open_breakers: open.collect(),
            ejected: peers.ejected().iter().map(ToString::to_string).collect(),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What this process does in the registry.
pub struct Membership {
    announcers: Vec<Announcer>,
    announcing: Supervisor,
    following: Supervisor,
}

/// Checks that no other process has this one's name: of two, each would overwrite what the other announces. One that
/// died with it is no hindrance: it does not announce itself again.
///
/// # Errors
/// When another process goes on announcing itself.
pub async fn name_is_free(foundation: &Foundation, roles: &Roles) -> anyhow::Result<()> {
    let own = instances(foundation, roles)?;
    let first = others_of(foundation, &own).await;
    if first.is_empty() {
        return Ok(());
    }
    tracing::info!(instance = foundation.fleet.instance, "waiting whether another process of this name is alive");
    let end = tokio::time::Instant::now() + SHOWS_ITSELF_WITHIN;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(LOOKS_FOR_IT_EACH).await;
        let now = others_of(foundation, &own).await;
        let alive = now.iter().find(|entry| first.iter().all(|before| before.revision != entry.revision));
        if let Some(Revised { value: other, .. }) = alive {
            bail!(
                "another process runs under the name {} (fleet.instance): it has the role {}, started at {} and answers \
                 at {}. Give each process a name of its own, or none: then it makes one",
                other.id(),
                other.role(),
                Timestamp::from_micros(other.generation),
                other.http.as_deref().unwrap_or("no address"),
            );
        }
        if now.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

/// What other processes announce under this one's name. Where this process listens nobody else does: what is announced
/// for there is of an earlier start. A registry that does not answer knows of nobody.
async fn others_of(foundation: &Foundation, own: &[Instance]) -> Vec<Revised<Instance>> {
    let listing = foundation.registry.list().await.unwrap_or_default();
    let is_other = |entry: &Revised<Instance>| {
        own.iter().any(|own| {
            let found = &entry.value;
            own.key == found.key && own.generation != found.generation && (own.http.is_none() || own.http != found.http)
        })
    };
    listing.instances.into_iter().filter(is_other).collect()
}

impl Membership {
    /// Announces these roles, and keeps the directory up to date.
    ///
    /// # Errors
    /// When the process's name cannot be part of a key.
    pub fn begin(foundation: &Foundation, roles: &Roles, requests: &Requests, gone: &Gone) -> anyhow::Result<Self> {
        let mut announcing = Supervisor::new(CancellationToken::new(), gone.clone());
        let mut announcers = Vec::new();
        for instance in instances(foundation, roles)? {
            let (name, requests) = (format!("announce {}", instance.role()), requests.clone());
            let peers = foundation.peers.clone();
            let announcer = Announcer::new(foundation.registry.clone(), instance, move || requests.load(&peers));
            announcers.push(announcer.clone());
            announcing.start(Loop::new(name, move |stop| {
                let announcer = announcer.clone();
                async move { announcer.run(stop).await }
            }));
        }
        let mut following = Supervisor::new(CancellationToken::new(), gone.clone());
        let follower = foundation.follower.clone();
        following.start(Loop::new("registry", move |stop| {
            let follower = follower.clone();
            async move { follower.run(stop).await }
        }));
        Ok(Self { announcers, announcing, following })
    }

    /// Announces whether this process can be asked, and what it can do, until `ending`.
    pub fn report(
        &self,
        is_ready: impl Fn() -> bool + Send + 'static,
        has_stores: HasStores,
        capabilities: Vec<Capability>,
        drain: Drain,
        ending: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let announcers = self.announcers.clone();
        async move {
            let mut announced = State::Starting;
            loop {
                announcers.iter().for_each(|announcer| announce_capabilities(announcer, &capabilities, &has_stores));
                let (drained, is_ending) = (drain.is_asked(), ending.is_cancelled());
                let (state, look_again) = match (drained || is_ending, is_ready()) {
                    (true, _) => (State::Draining, LOOKS_EACH.1),
                    (false, true) => (State::Ready, LOOKS_EACH.1),
                    (false, false) => (State::Starting, LOOKS_EACH.0),
                };
                if state != announced {
                    announcers.iter().for_each(|announcer| announcer.change(|instance| instance.state = state));
                    announced = state;
                }
                if is_ending {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(look_again) => {}
                    () = drain.wait_until(!drained) => {}
                    () = ending.cancelled() => {}
                }
            }
        }
    }

    /// Ends as if it had never begun: for a process that does not start after all.
    pub async fn undo(self) {
        self.withdraw().await.finish(LEAVES_WITHIN).await;
    }

    /// Takes this process out of the registry, so that nobody asks it any more. What is returned still follows the others.
    pub async fn withdraw(self) -> Supervisor {
        self.announcing.finish(LEAVES_WITHIN).await;
        self.following
    }
}

/// How often the stores are looked at.
const STORES_EACH: Duration = Duration::from_secs(1);

/// Whether the stores of a role answered this process at the last look.
pub type HasStores = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Looks at this process's stores, so that callers hear of those that are lost to it alone.
pub fn look_at_stores(health: Health) -> (Loop, HasStores) {
    let down = Arc::new(Mutex::new(Vec::new()));
    let last = down.clone();
    let looking = Loop::new("stores", move |stop| {
        let (health, down) = (health.clone(), down.clone());
        async move {
            while !stop.is_cancelled() {
                let now = health.parts_down().await;
                *down.lock().unwrap_or_else(PoisonError::into_inner) = now;
                tokio::select! { () = tokio::time::sleep(STORES_EACH) => {}, () = stop.cancelled() => {} }
            }
        }
    });
    // A role's stores have its name.
    let has = move |role: &str| {
        let down = last.lock().unwrap_or_else(PoisonError::into_inner);
        !down.iter().any(|store: &String| store == role)
    };
    (looking, Box::new(has))
}

/// Announces what this instance can do now, when that changed.
fn announce_capabilities(announcer: &Announcer, capabilities: &[Capability], has_stores: &HasStores) {
    let instance = announcer.instance();
    let own = capabilities.iter().filter(|capability| capability.role.name() == instance.role());
    let now = own.filter(|own| (own.is_there)()).map(|own| own.name);
    let now: Vec<String> =
        now.chain((!has_stores(instance.role())).then_some(Instance::WITHOUT_STORES)).map(str::to_owned).collect();
    if instance.capabilities != now {
        announcer.change(|instance| instance.capabilities = now);
    }
}

/// The roles of this process as the registry's instances.
fn instances(foundation: &Foundation, roles: &Roles) -> anyhow::Result<Vec<Instance>> {
    let Foundation { fleet, settings, clock, .. } = foundation;
    let address = fleet.address.as_ref().map(|address| address.to_string().trim_end_matches('/').to_owned());
    let generation = clock.now().micros();
    let instance = |name: &str| {
        Ok(Instance {
            key: Key::new(name, &fleet.instance).context("fleet.instance")?,
            generation,
            grpc: address.clone(),
            http: address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zone: settings.fleet.zone.clone().unwrap_or_default(),
            state: State::Starting,
            capabilities: Vec::new(),
            load: Load::default(),
        })
    };
    roles.iter().map(|role| instance(role.name())).collect()
}

/// What `/health/ready` says about the registry.
pub fn note(directory: &Directory) -> Note {
    let directory = directory.clone();
    Arc::new(move || match directory.view().current {
        true => "ok".to_owned(),
        false => "away: its last list stays in use".to_owned(),
    })
}
