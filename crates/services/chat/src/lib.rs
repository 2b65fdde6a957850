//! Support chat: conversations, a bot that knows the shop, and people behind it.
//!
//! A message is stored before anybody is shown it. The bot answers what it can look up with the customer's own rights;
//! the rest goes to a person.
//!
//! | to change | open |
//! |---|---|
//! | what may happen to a conversation | `domain/conversation.rs` |
//! | which agent gets it | `domain/routing.rs` |
//! | how a message is understood | `triage/` |
//! | what the bot says | `bot/` |
//! | the hub's methods and events | `hub/` |
//! | what is stored before it is shown, and in which order | `conversations.rs` |
//! | the queue, the bot's turns, retention | `work/` |
//! | an endpoint | `features/<use case>.rs` |
//! | how conversations are kept | `store/` |

mod agents;
pub mod bot;
mod context;
mod conversations;
pub mod domain;
mod features;
mod hub;
pub mod store;
pub mod triage;
mod work;

use std::sync::{Arc, PoisonError, RwLock, Weak};

use axum::Router;
use bookworm_config::Chat as Settings;
use bookworm_db::{Db, DbError, Migration};
use bookworm_http::{Problem, auth::TokenVerifier};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::Outbox;
use bookworm_signalr::{Hub, HubHandle};
use tokio::sync::{Mutex, Notify};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;

pub use crate::context::Clients;
use crate::{
    bot::Responder,
    conversations::Turns,
    hub::{Drafts, Typing, presence::Presence},
    store::{ChatStore, SqlStore, StoreError},
    work::answers::Answering,
};

/// Why the chat cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its database cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What it holds cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the chat stands on.
pub struct Needs {
    /// How it behaves.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Checks access tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Whoever answers for the machine.
    pub responder: Arc<dyn Responder>,
    /// Other services.
    pub clients: Clients,
}

/// Everything that calls, events and loops share.
pub(crate) struct Chat {
    me: Weak<Chat>,
    store: Arc<dyn ChatStore>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    verifier: Arc<TokenVerifier>,
    responder: Arc<dyn Responder>,
    clients: Clients,
    presence: Presence,
    typing: Typing,
    drafts: Drafts,
    turns: Turns,
    answering: Answering,
    /// The bot's turns that are under way.
    tasks: TaskTracker,
    /// Held while what is kept of an agent is changed.
    agents: Mutex<()>,
    /// Wakes the desk.
    desk: Notify,
    hub: RwLock<Option<HubHandle>>,
}

impl Chat {
    /// For sending; `None` before the hub is built and after it ended.
    pub(crate) fn hub(&self) -> Option<HubHandle> {
        self.hub.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The chat service. Cheap to clone.
#[derive(Clone)]
pub struct ChatService {
    chat: Arc<Chat>,
    hub: Hub,
    db: Db,
    outbox: Outbox,
}

impl ChatService {
    /// The service's name, also its database's.
    pub const NAME: &str = "chat";

    /// Brings the schema up to date and builds the hub.
    ///
    /// # Errors
    /// When the database cannot be migrated or read.
    pub async fn open(db: Db, needs: Needs) -> Result<Self, StartError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, needs.clock.now()).await?;
        let outbox = Outbox::new(needs.clock.clone());
        let store = Arc::new(SqlStore::new(db.clone(), outbox.clone()));
        let Needs { settings, clock, verifier, responder, clients } = needs;
        let chat = Arc::new_cyclic(|me| Chat {
            me: Weak::clone(me),
            store,
            settings,
            clock,
            verifier,
            responder,
            clients,
            presence: Presence::default(),
            typing: Typing::default(),
            drafts: Drafts::default(),
            turns: Turns::default(),
            answering: Answering::default(),
            tasks: TaskTracker::new(),
            agents: Mutex::default(),
            desk: Notify::new(),
            hub: RwLock::default(),
        });
        chat.seed_canned_replies().await?;
        let hub = hub::build(&chat);
        *chat.hub.write().unwrap_or_else(PoisonError::into_inner) = Some(hub.handle());
        Ok(Self { chat, hub, db, outbox })
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.clone())
    }

    /// The hub's routes, with their whole path.
    pub fn hub(&self) -> Router {
        self.hub.router(hub::PATH)
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        work::all(&self.chat)
    }

    /// Ends the hub: everybody is told to come back, here or elsewhere, and calls run to their end.
    pub async fn shutdown(&self) {
        if let Some(hub) = self.chat.hub() {
            hub.shutdown().await;
        }
        // The hub holds the chat: without this neither would ever be dropped.
        *self.chat.hub.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Closes what nobody goes on with and deletes what is old. A worker does so by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self) -> Result<(), Problem> {
        work::tidy(&self.chat).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Where its messages wait for the relay.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}
