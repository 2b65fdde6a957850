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
//! | what the catalogue is asked, and how long to wait | `catalogue.rs` |
//! | whose basket a request means | `shopper.rs` |
//! | how a basket is claimed by one order at a time | `domain/basket.rs`, `features/claim.rs` |
//! | what an order takes out, or gives back | `reactions/` |

mod catalogue;
mod domain;
mod features;
mod reactions;
mod shopper;
mod store;
mod view;

use std::{sync::Arc, time::Duration};

use bookworm_contracts::grpc::{Edge, basket::basket_server::BasketServer, catalog::catalog_client::CatalogClient};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::{Clock, Currency, Timestamp};
use bookworm_loops::Loop;
use bookworm_messaging::Consumer;
use utoipa_axum::router::OpenApiRouter;

use crate::catalogue::Catalogue;

/// How baskets behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// After this many days untouched a guest's basket is deleted; also the age of its cookie. At least 1.
    pub guest_days: u32,
    /// The most different books that a basket can be filled with. Merging two may exceed it, so that no line is lost.
    pub max_lines: usize,
    /// The shop's currency: that of an empty basket's subtotal.
    pub currency: Currency,
    /// Whether the shop is reached over TLS: the cookie is then never sent without it.
    pub secure_cookies: bool,
}

impl Default for Options {
    /// 30 days, 100 lines, US dollars, no TLS.
    fn default() -> Self {
        Self { guest_days: 30, max_lines: 100, currency: Currency::USD, secure_cookies: false }
    }
}

impl Options {
    fn guest_age(&self) -> Duration {
        Duration::from_secs(u64::from(self.guest_days) * 24 * 60 * 60)
    }
}

/// The basket service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BasketService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    options: Options,
    clock: Arc<dyn Clock>,
    catalogue: Catalogue,
}

impl BasketService {
    /// The service's name, also its database's.
    pub const NAME: &str = "basket";

    /// Brings the schema up to date and starts.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(
        db: Db,
        options: Options,
        clock: Arc<dyn Clock>,
        catalog: CatalogClient<Edge>,
    ) -> Result<Self, DbError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        Ok(Self(Arc::new(Inner { db, options, clock, catalogue: Catalogue::new(catalog) })))
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.clone())
    }

    /// What other services ask and command.
    #[must_use]
    pub fn grpc(&self) -> BasketServer<impl bookworm_contracts::grpc::basket::basket_server::Basket> {
        BasketServer::new(features::grpc::Server(self.clone()))
    }

    /// Reactions to other services' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(self)]
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        vec![features::expire_guests::every_hour(self.clone())]
    }

    /// Deletes the baskets of guests that were untouched for too long; returns how many. A worker does so each hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_guests(&self) -> Result<u64, DbError> {
        features::expire_guests::expire(self).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn catalogue(&self) -> &Catalogue {
        &self.0.catalogue
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
