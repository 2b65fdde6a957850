//! The state that the chat's use cases share, and what every one of them needs from it.

pub(crate) mod agents;
pub(crate) mod announce;
mod bot_turns;
mod context;
pub(crate) mod conversations;
mod drafts;
pub(crate) mod events;
pub(crate) mod presence;
mod turns;
mod typing;
pub(crate) mod view;

use std::sync::{Arc, PoisonError, RwLock, Weak};

use bookworm_config::Chat as Settings;
use bookworm_http::auth::TokenVerifier;
use bookworm_kernel::Clock;
use bookworm_signalr::HubHandle;
use tokio::sync::{Mutex, Notify};
use tokio_util::task::TaskTracker;

use self::{
    bot_turns::Answering, conversations::Locks, drafts::Drafts, presence::Presence, turns::Turns, typing::Typing,
};
use crate::{Dependencies, bot::Responder, clients::Clients, store::ChatStore};

/// The state that calls, events and loops share.
pub(crate) struct Chat {
    /// For tasks that outlive the call that starts them.
    pub me: Weak<Self>,
    pub store: Arc<dyn ChatStore>,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub verifier: Arc<TokenVerifier>,
    pub responder: Arc<dyn Responder>,
    pub clients: Clients,
    pub presence: Presence,
    typing: Typing,
    pub drafts: Drafts,
    /// Order changes of one conversation within this process.
    pub locks: Locks,
    /// Order what instances do for one customer.
    pub turns: Turns,
    answering: Answering,
    /// The bot's turns under way.
    pub tasks: TaskTracker,
    /// Locked while an agent's document is changed: changes of this process do not conflict with each other.
    agents: Mutex<()>,
    /// Wakes the desk.
    pub desk: Notify,
    hub: RwLock<Option<HubHandle>>,
}

impl Chat {
    /// A chat without a hub.
    pub fn new(dependencies: Dependencies) -> Arc<Self> {
        let Dependencies { store, settings, clock, verifier, responder, clients, roster, leases, instance, .. } =
            dependencies;
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            store,
            settings,
            clock,
            verifier,
            responder,
            clients,
            presence: Presence::new(roster),
            typing: Typing::default(),
            drafts: Drafts::default(),
            locks: Locks::default(),
            turns: Turns::new(leases, instance.as_deref()),
            answering: Answering::default(),
            tasks: TaskTracker::new(),
            agents: Mutex::default(),
            desk: Notify::new(),
            hub: RwLock::default(),
        })
    }

    /// For sending events; `None` before the hub is built and after it ended.
    pub fn hub(&self) -> Option<HubHandle> {
        self.hub.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects it to its hub, or disconnects it.
    pub fn set_hub(&self, hub: Option<HubHandle>) {
        *self.hub.write().unwrap_or_else(PoisonError::into_inner) = hub;
    }
}
