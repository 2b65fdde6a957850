//! Support chat: conversations, a bot that knows the shop, and people behind it.
//!
//! A message is stored before it is announced to anybody. The bot answers what it can look up with the customer's own
//! rights; the rest goes to a person.
//!
//! | to change | open |
//! |---|---|
//! | what may happen to a conversation | `domain/conversation.rs` |
//! | which agent gets it | `domain/routing.rs` |
//! | how a message is classified | `triage/` |
//! | what the bot answers | `bot/` |
//! | the hub's methods | `hub/` |
//! | the hub's events, and which follow a change | `service/events.rs`, `service/announce.rs` |
//! | the steps of a change: decide, store, announce | `service/conversations.rs` |
//! | conversations as the API and the hub show them | `service/view.rs` |
//! | an endpoint | `features/<use case>.rs` |
//! | the queue, the bot's pending turns, retention | `loops/` |
//! | how conversations are stored | `store/sql.rs`, `store/mongo/` |
//! | what becomes of the contact form | `reactions.rs` |
//! | calls to other services | `clients.rs` |

pub mod bot;
mod clients;
pub mod domain;
mod features;
mod hub;
mod loops;
mod reactions;
mod service;
pub mod store;
pub mod triage;

use std::sync::Arc;

use axum::Router;
use bookworm_config::Chat as Settings;
use bookworm_http::{Problem, auth::TokenVerifier};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::Consumer;
use bookworm_registry::{Leases, Roster};
use bookworm_signalr::{Hub, backplane::Backplane};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use crate::clients::Clients;
use crate::{
    bot::{Bot, Responder},
    service::Chat,
    store::{ChatStore, StoreError},
};

/// What the chat needs.
pub struct Dependencies {
    /// Where conversations are stored.
    pub store: Arc<dyn ChatStore>,
    /// Its limits and times.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Checks access tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Answers while no person does.
    pub responder: Arc<dyn Responder>,
    /// Other services.
    pub clients: Clients,
    /// What tells this instance from others of the role, in the tokens of its hub's connections.
    pub instance: Option<String>,
    /// Joins the hubs of the role's instances.
    pub backplane: Arc<dyn Backplane>,
    /// Who is connected to which of them.
    pub roster: Arc<dyn Roster>,
    /// What instances do in turn.
    pub leases: Arc<dyn Leases>,
}

/// The chat service. Cheap to clone.
#[derive(Clone)]
pub struct ChatService {
    chat: Arc<Chat>,
    hub: Hub,
}

impl ChatService {
    /// The service's name.
    pub const NAME: &str = "chat";
    /// Where its hub is.
    pub const HUB: [&str; 2] = [hub::PATH, hub::NEGOTIATE];

    /// Builds the hub, and gives a new shop its first prepared answers.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(dependencies: Dependencies) -> Result<Self, StoreError> {
        let (instance, backplane) = (dependencies.instance.clone(), dependencies.backplane.clone());
        let chat = Chat::new(dependencies);
        features::canned_replies::seed(&chat).await?;
        let hub = hub::build(&chat, instance, backplane);
        chat.set_hub(Some(hub.handle()));
        Ok(Self { chat, hub })
    }

    /// The document of [`api`](Self::api) and [`bot_api`]: which operations they have, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        let mut document = features::routes().into_openapi();
        document.merge(features::bot_routes().into_openapi());
        document
    }

    /// Its part of the public API, without `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.chat.clone())
    }

    /// The hub's routes, with their whole path.
    pub fn hub(&self) -> Router {
        self.hub.router(hub::PATH)
    }

    /// Its reactions to other services' messages.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.chat)]
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        loops::all(&self.chat)
    }

    /// Ends the hub: clients are told to reconnect, here or elsewhere, and calls under way finish.
    pub async fn shutdown(&self) {
        if let Some(hub) = self.chat.hub() {
            hub.shutdown().await;
        }
        // The hub owns the chat: without this neither would ever be dropped.
        self.chat.set_hub(None);
    }

    /// Closes idle conversations and deletes old ones, as a loop does every ten minutes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self) -> Result<(), Problem> {
        loops::tidy(&self.chat).await
    }

    /// Where its conversations are stored.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ChatStore> {
        &self.chat.store
    }
}

/// The bot's part of the public API, without `/api/v1`: classification and the policies.
pub fn bot_api(bot: &Bot) -> OpenApiRouter {
    features::bot_routes().with_state(bot.clone())
}
