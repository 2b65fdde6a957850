//! Which instance of a role is asked. See `group.rs` for the rules.

mod endpoint;
mod group;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bookworm_registry::{Directory, Instance, Key, View};

pub use self::group::EndpointStatus;
use self::group::{Group, Ticket};

/// How long a call waits for the first instance of a role to appear.
const NOBODY_AFTER: Duration = Duration::from_secs(1);

/// What is spoken with the instances. One role may be asked by both, and each has its own record of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Calls between services.
    Grpc,
    /// Requests that are passed on.
    Http,
}

impl Protocol {
    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// Nobody of a role is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no instance of {0} is there")]
pub struct Nobody(pub &'static str);

/// Picks instances of one role, each with a connection `C`. Cheap to clone; clones share what they know.
pub struct Balancer<C>(Arc<Shared<C>>);

type Connect<C> = Box<dyn Fn(&Instance) -> Option<C> + Send + Sync>;

struct Shared<C> {
    role: &'static str,
    directory: Directory,
    connect: Connect<C>,
    state: Mutex<State<C>>,
}

struct State<C> {
    /// What the group was made from.
    view: Option<Arc<View>>,
    group: Group<C>,
}

impl<C> Clone for Balancer<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> fmt::Debug for Balancer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Balancer({})", self.0.role)
    }
}

/// What a call says of the instance that it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, whatever the answer.
    Answered,
    /// No answer came, or one that only an instance in trouble gives.
    Failed,
}

impl<C: Clone> Balancer<C> {
    /// Picks among the instances of `role` in the directory. `connect` makes the connection to one, which is used until
    /// the instance leaves; `None` for one that offers no such connection.
    pub fn new(
        role: &'static str,
        protocol: Protocol,
        directory: Directory,
        connect: impl Fn(&Instance) -> Option<C> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { view: None, group: Group::new(role, protocol) });
        Self(Arc::new(Shared { role, directory, connect: Box::new(connect), state }))
    }

    /// The instance to ask now, if possible none of those in `tried`. Where there is none at all, one that appears within
    /// a second.
    ///
    /// # Errors
    /// When nobody appears.
    pub async fn pick(&self, tried: &[Key]) -> Result<Picked<C>, Nobody> {
        self.pick_able(tried, None).await
    }

    /// The same; if possible one that announced this capability.
    ///
    /// # Errors
    /// When nobody appears.
    pub async fn pick_able(&self, tried: &[Key], capability: Option<&str>) -> Result<Picked<C>, Nobody> {
        if let Some(picked) = self.choose(tried, capability) {
            return Ok(picked);
        }
        let mut directory = self.0.directory.clone();
        let appears = async {
            loop {
                directory.changed().await;
                if let Some(picked) = self.choose(tried, capability) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(NOBODY_AFTER, appears).await.map_err(|_| {
            metrics::counter!("rpc_nobody_total", "callee" => self.0.role).increment(1);
            Nobody(self.0.role)
        })
    }

    /// The same without waiting.
    #[must_use]
    pub fn pick_now(&self, tried: &[Key]) -> Option<Picked<C>> {
        self.choose(tried, None)
    }

    fn choose(&self, tried: &[Key], capability: Option<&str>) -> Option<Picked<C>> {
        let mut state = self.lock();
        let (ticket, instance, connection) = state.group.choose(&mut rand::rng(), tried, capability)?;
        Some(Picked { balancer: self.clone(), ticket: Some(ticket), instance, connection })
    }

    /// A certain instance, however it is.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&Instance) -> bool) -> Option<Picked<C>> {
        let mut state = self.lock();
        let (ticket, instance, connection) = state.group.find(wanted)?;
        Some(Picked { balancer: self.clone(), ticket: Some(ticket), instance, connection })
    }

    /// Every instance that is known, and how it did.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.lock().group.endpoints()
    }

    /// The state, brought up to date with the directory.
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.0.directory.view();
        if state.view.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &view)) {
            state.group.update(view.of(self.0.role), &self.0.connect);
            state.view = Some(view);
        }
        state
    }
}

/// An instance that is being asked. Report how it did; dropped without, as when a caller gave up, it counts as neither
/// answered nor failed.
#[derive(Debug)]
pub struct Picked<C: Clone> {
    balancer: Balancer<C>,
    ticket: Option<Ticket>,
    instance: Arc<Instance>,
    connection: C,
}

impl<C: Clone> Picked<C> {
    /// Who is asked.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The way there.
    #[must_use]
    pub fn connection(&self) -> C {
        self.connection.clone()
    }

    /// Reports how it did.
    pub fn report(mut self, outcome: Outcome) {
        self.end(Some(outcome));
    }

    fn end(&mut self, outcome: Option<Outcome>) {
        if let Some(ticket) = self.ticket.take() {
            let mut state = self.balancer.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.group.end(ticket, outcome);
        }
    }
}

impl<C: Clone> Drop for Picked<C> {
    fn drop(&mut self) {
        self.end(None);
    }
}
