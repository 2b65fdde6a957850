//! Mails as reactions to what happens in the shop.
//!
//! A reaction writes a mail into a queue in this role's own database, once for each event. A loop hands queued mails to
//! the transport, with growing pauses while it fails. So a mail server that is down delays mails and nothing else, and
//! an event that comes twice is one mail.
//!
//! | to change | open |
//! |---|---|
//! | the text of a mail | `templates/<kind>.txt` and `.html` |
//! | which event leads to which mail | `reactions.rs` |
//! | how much mail strangers can cause | `domain/limits.rs`, `features/admit.rs` |
//! | what waits until its reader has proved the address | `reactions.rs`, `domain/link.rs` |
//! | what becomes of the contact form | `features/contact.rs` |
//! | when to try again, and when to give up | `features/deliver.rs` |
//! | how a mail is sent | `transport/` |
//! | what other roles ask | `grpc.rs` |

mod domain;
mod features;
mod grpc;
mod reactions;
mod service;
mod store;
mod transport;

use std::sync::Arc;

use bookworm_config::Mail as Settings;
use bookworm_contracts::grpc::notification::mailroom_server::{Mailroom, MailroomServer};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::{Clock, TimeZone};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, OutboxSource};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::service::Notification;
pub use crate::transport::{Handover, Outgoing, SettingsError, Transport, TransportError};

/// What the role needs.
pub struct Dependencies {
    /// The role's database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The section `mail` of the configuration.
    pub settings: Settings,
    /// Takes the mails: [`NotificationService::transport`] makes the one that the settings name.
    pub transport: Arc<dyn Transport>,
    /// The shop's name, as mails show it.
    pub shop_name: String,
    /// The shop's address on the web, without a slash at its end.
    pub origin: String,
    /// Times in mails are this zone's.
    pub time_zone: TimeZone,
}

/// The notification role. Cheap to clone.
#[derive(Clone)]
pub struct NotificationService(Arc<Notification>);

impl NotificationService {
    /// The role's name, also its database's.
    pub const NAME: &str = "notification";

    /// The transport that the settings name.
    ///
    /// # Errors
    /// When the SMTP settings cannot be used.
    pub fn transport(settings: &Settings) -> Result<Arc<dyn Transport>, SettingsError> {
        transport::of(settings)
    }

    /// Brings the schema up to date and starts.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        dependencies.db.migrate(&migrations, dependencies.clock.now()).await?;
        Ok(Self(Arc::new(Notification::new(dependencies))))
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        features::routes().into_openapi()
    }

    /// Its part of the public API, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.0.clone())
    }

    /// What other roles ask.
    #[must_use]
    pub fn grpc(&self) -> MailroomServer<impl Mailroom + use<>> {
        MailroomServer::new(grpc::Server(self.0.clone()))
    }

    /// Reactions to other services' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.0)]
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let notification = self.0.clone();
        vec![
            Loop::new("notification.queue", move |stop| features::deliver::run(notification.clone(), stop)),
            features::tidy::regularly(self.0.clone()),
        ]
    }

    /// Does once what its loop does: hands every mail that is due to the transport. Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliver(&self) -> Result<usize, DbError> {
        features::deliver::deliver(&self.0).await
    }

    /// Does once what its loop does: deletes what no limit counts any more, and mails that waited for a proof in vain.
    /// Returns how many rows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy(&self) -> Result<u64, DbError> {
        features::tidy::tidy(&self.0).await
    }

    /// What it publishes.
    #[must_use]
    pub fn outbox(&self) -> Arc<dyn OutboxSource> {
        self.0.outbox.source(&self.0.db)
    }

    /// The role's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }
}
