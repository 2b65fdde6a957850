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
//! | what completed and refunded orders cause | `reactions/` |
//! | what reviews say together | `domain/summary.rs`, `features/summarize.rs` |
//! | who is asked for a review, when, and what the link is good for | `domain/invitation.rs`, `features/invite.rs`, `features/invited.rs` |

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
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{domain::InvitationRules, features::summarize::SummaryError, service::Ratings};

/// What the role needs.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The catalogue.
    pub catalog: CatalogClient<Edge>,
    /// The sentence model, which tells what reviews say together; without it they have no summary.
    pub model: Option<Edge>,
    /// How many days after an order is complete its buyer is asked for a review; 0 is at once.
    pub invite_after_days: u32,
    /// For how many days the links of such a mail take reviews.
    pub invitation_valid_days: u32,
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
        let Dependencies { db, clock, catalog, model, invite_after_days, invitation_valid_days } = dependencies;
        let migrations: Vec<Migration> =
            [bookworm_messaging::MIGRATIONS, bookworm_eventstore::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        let outbox = Outbox::new(clock.clone());
        let invitations = InvitationRules { after_days: invite_after_days, valid_days: invitation_valid_days };
        Ok(Self(Arc::new(Ratings { db, outbox, clock, catalog, model, invitations })))
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

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let summaries = self.0.model.clone().map(|model| features::summarize::regularly(self.0.clone(), model));
        std::iter::once(features::invite::regularly(self.0.clone())).chain(summaries).collect()
    }

    /// Does once what its loop does: asks everybody for a review whose time has come. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn invite(&self) -> Result<usize, DbError> {
        features::invite::due(&self.0).await
    }

    /// Does once what its loop does: summarises the reviews of every book whose reviews have changed. Returns of how many,
    /// or nothing when no model answers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn summarize(&self) -> Result<Option<usize>, DbError> {
        let Some(model) = &self.0.model else { return Ok(None) };
        match features::summarize::stale(&self.0, model, &CancellationToken::new()).await {
            Ok(built) => Ok(Some(built)),
            Err(SummaryError::Db(error)) => Err(error),
            Err(SummaryError::NoVectors(_) | SummaryError::GivenUp) => Ok(None),
        }
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
