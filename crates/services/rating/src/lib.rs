//! What readers think of books.
//!
//! An account writes one review of a book. It is verified when a completed order says that the account has the book, and
//! never by anything else. What a verified buyer writes is seen at once, unless something in it was found; everything
//! else waits for staff. Each decision is an event with who, when and why, which the author can read and appeal.
//!
//! | to change | open |
//! |---|---|
//! | a rule: who is seen at once, what can be appealed | `domain/review.rs` |
//! | what is held, and why | `domain/screening.rs` |
//! | an endpoint | `features/<use case>.rs` |
//! | a limit | `features/input.rs`, `service.rs`, `features/write_review.rs` |
//! | what completed orders cause | `reactions/` |

mod clients;
mod domain;
mod features;
mod reactions;
mod service;
mod store;

use std::sync::Arc;

use bookworm_contracts::grpc::{Edge, catalog::catalog_client::CatalogClient};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::Clock;
use bookworm_messaging::{Consumer, Outbox};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::service::Ratings;

/// What the role needs.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The catalogue.
    pub catalog: CatalogClient<Edge>,
}

/// The rating role. Cheap to clone.
#[derive(Clone)]
pub struct RatingService(Arc<Ratings>);

impl RatingService {
    /// The role's name, also its database's.
    pub const NAME: &str = "rating";

    /// Brings the schema up to date and starts.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, catalog } = dependencies;
        let migrations: Vec<Migration> =
            [bookworm_messaging::MIGRATIONS, bookworm_eventstore::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        let outbox = Outbox::new(clock.clone());
        Ok(Self(Arc::new(Ratings { db, outbox, clock, catalog })))
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        features::routes().into_openapi()
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.0.clone())
    }

    /// Reactions to other roles' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.0)]
    }

    /// Where its messages wait for the relay.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The role's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }
}
