//! What somebody means to buy.
//!
//! A basket belongs to an account, or to whoever has its secret: the guest token, which travels as the header
//! `Basket-Token` or the cookie `basket_token`. Signing in merges a guest's basket into the account's. Prices and
//! availability are the catalogue's: the basket asks on each read, shows what changed, and remembers what it showed.
//!
//! | to change | open |
//! |---|---|
//! | a rule: limits, merging, what a bought line leaves | `domain/basket.rs` |
//! | an endpoint | `features/<use case>.rs` |
//! | what the catalogue is asked, and for how long an answer is cached | `clients.rs` |
//! | whose basket a request means | `features/shopper.rs` |
//! | how a basket is claimed by one order at a time | `domain/basket.rs`, `features/claim.rs` |
//! | what an order takes out, or gives back | `reactions/` |

mod clients;
mod domain;
mod features;
mod grpc;
mod reactions;
mod service;
mod store;

use std::sync::Arc;

use bookworm_contracts::grpc::{
    Edge,
    basket::basket_server::{self, BasketServer},
    catalog::catalog_client::CatalogClient,
};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::Consumer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use crate::service::Settings;
use crate::{clients::Catalogue, service::Baskets};

/// What the service stands on.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How baskets behave.
    pub settings: Settings,
    /// The catalogue.
    pub catalog: CatalogClient<Edge>,
}

/// The basket service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BasketService(Arc<Baskets>);

impl BasketService {
    /// The service's name, also its database's.
    pub const NAME: &str = "basket";

    /// Brings the schema up to date and starts.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, settings, catalog } = dependencies;
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        Ok(Self(Arc::new(Baskets { db, settings, clock, catalogue: Catalogue::new(catalog) })))
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

    /// What other services ask and command.
    #[must_use]
    pub fn grpc(&self) -> BasketServer<impl basket_server::Basket> {
        BasketServer::new(grpc::Server(self.0.clone()))
    }

    /// Reactions to other services' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.0)]
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        vec![features::expire_guests::every_hour(self.0.clone())]
    }

    /// Deletes the baskets of guests that were untouched for too long; returns how many. A worker does so each hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_guests(&self) -> Result<u64, DbError> {
        features::expire_guests::expire(&self.0).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }
}
