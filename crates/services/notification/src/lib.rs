//! Mails as reactions to what happens in the shop.
//!
//! A reaction writes a mail into a queue of this service's own database, once for each event. A worker hands queued
//! mails to the transport, with growing pauses while it fails. So a mail server that is down delays mails and nothing
//! else, and an event that comes twice is one mail.
//!
//! | to change | open |
//! |---|---|
//! | a mail's words | `templates/<kind>.txt` and `.html` |
//! | which event leads to which mail | `reactions.rs` |
//! | how much mail strangers can cause | `domain/limits.rs`, `features/admit.rs` |
//! | what waits until its reader has proved the address | `reactions.rs`, `domain/link.rs` |
//! | when to try again, and when to give up | `features/deliver.rs` |
//! | how a mail is sent | `transport/` |

mod domain;
mod features;
mod reactions;
mod store;
mod transport;

use std::sync::Arc;

use bookworm_config::{Mail as MailSettings, MailLimits, MailTransport};
use bookworm_contracts::grpc::notification::mailroom_server::{Mailroom, MailroomServer};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::{Clock, TimeZone, Timestamp};
use bookworm_loops::Loop;
use bookworm_messaging::Consumer;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

pub use crate::transport::{Handover, Outgoing, Transport, TransportError};
use crate::{
    domain::Letterhead,
    transport::{Mailbox, Smtp},
};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its database cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The mail settings cannot be used.
    #[error("mail.{0}")]
    Mail(String),
}

/// The notification service. Cheap to clone.
#[derive(Clone)]
pub struct NotificationService(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Arc<dyn Clock>,
    transport: Arc<dyn Transport>,
    letterhead: Letterhead,
    max_attempts: u32,
    limits: MailLimits,
    wake: Notify,
}

impl NotificationService {
    /// The service's name, also its database's.
    pub const NAME: &str = "notification";

    /// Brings the schema up to date and prepares the transport that the settings name. `shop_name` and `origin` (the
    /// shop's address without a slash at its end) appear in the mails, and times in them are `zone`'s.
    ///
    /// # Errors
    /// When the database cannot be migrated, or the SMTP settings cannot be used.
    pub async fn open(
        db: Db,
        settings: &MailSettings,
        shop_name: &str,
        origin: &str,
        zone: TimeZone,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let transport: Arc<dyn Transport> = match settings.transport {
            MailTransport::Mailbox => Arc::new(Mailbox),
            MailTransport::Smtp => Arc::new(Smtp::new(settings).map_err(StartError::Mail)?),
        };
        Self::open_with(db, transport, settings, shop_name, origin, zone, clock).await
    }

    /// As [`open`](Self::open), with a transport of the caller's.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open_with(
        db: Db,
        transport: Arc<dyn Transport>,
        settings: &MailSettings,
        shop_name: &str,
        origin: &str,
        zone: TimeZone,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        let letterhead = Letterhead { shop: shop_name.to_owned(), origin: origin.to_owned(), zone };
        Ok(Self(Arc::new(Inner {
            db,
            clock,
            transport,
            letterhead,
            max_attempts: settings.max_attempts,
            limits: settings.limits.clone(),
            wake: Notify::new(),
        })))
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.clone())
    }

    /// Reactions to other services' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(self.clone())]
    }

    /// What other services ask.
    #[must_use]
    pub fn grpc(&self) -> MailroomServer<impl Mailroom + use<>> {
        MailroomServer::new(features::admit::Server(self.clone()))
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let service = self.clone();
        vec![
            Loop::new("notification.queue", move |stop| features::deliver::run(service.clone(), stop)),
            features::tidy::every_hour(self.clone()),
        ]
    }

    /// Hands every mail whose time has come to the transport; returns how many there were. A worker does so by itself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliver(&self) -> Result<usize, DbError> {
        features::deliver::deliver(self).await
    }

    /// Forgets what limits count no more, and deletes what waited for a proof in vain; returns how many rows. A worker
    /// does so by itself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy(&self) -> Result<u64, DbError> {
        features::tidy::tidy(self).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
