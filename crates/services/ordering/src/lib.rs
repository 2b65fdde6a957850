//! Event-sourced orders and the checkout saga: the heart of the shop.
//!
//! An order is a stream of events; what the API shows is a projection, written in the same transaction. A checkout is a
//! saga that asks the catalogue for stock and finance for money, by message, and brings the order to an end whatever
//! fails on the way.
//!
//! | to change | open |
//! |---|---|
//! | what may happen to an order | `domain/order.rs` |
//! | what follows what in a checkout, and what undoes it | `domain/checkout_saga.rs` |
//! | how a basket becomes one order and not two | `domain/claim.rs`, `claim.rs` |
//! | what an order costs | `domain/pricing.rs` |
//! | what a coupon takes off, and when it is refused; how its uses are counted | `domain/coupon.rs`; `store/coupons.rs` |
//! | an endpoint | `features/<use case>.rs` |
//! | what the answers of catalogue and finance lead to | `reactions/` |
//! | how events, projection and messages are written together | `service/work.rs` |
//! | what is stored of an order | `domain/event.rs`, `store/document.rs` |
//! | who may see an order | `visitor.rs` |

mod claim;
mod clients;
mod domain;
mod features;
mod grpc;
mod purchase;
mod reactions;
mod redemption;
mod service;
mod shopper;
mod store;
mod visitor;

use std::sync::Arc;

use bookworm_config::Ordering as Settings;
use bookworm_contracts::grpc::{
    Edge,
    basket::basket_client::BasketClient,
    catalog::catalog_client::CatalogClient,
    ordering::ordering_server::{self, OrderingServer},
};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::{Clock, Currency};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use crate::features::{
    compare_coupons::{CouponCounters, CouponDifference},
    order_facts::OrderFacts,
    replay_orders::ReplayReport,
};
use crate::{
    clients::Clients,
    domain::access_key::AccessKeys,
    service::{
        Ordering,
        outcomes::{self, Outcomes},
    },
};

/// What the service stands on.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Its section of the settings.
    pub settings: Settings,
    /// The shop's currency: that of every price.
    pub currency: Currency,
    /// The basket service.
    pub basket: BasketClient<Edge>,
    /// The catalogue.
    pub catalog: CatalogClient<Edge>,
}

/// The ordering service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OrderingService(Arc<Ordering>);

impl OrderingService {
    /// The service's name, also its database's.
    pub const NAME: &str = "ordering";

    /// Brings the schema up to date and starts. Without a secret for guests' links in the settings, one is drawn once and
    /// stored in the database.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, settings, currency, basket, catalog } = dependencies;
        let migrations: Vec<Migration> = [
            bookworm_messaging::MIGRATIONS,
            bookworm_eventstore::MIGRATIONS,
            bookworm_saga::MIGRATIONS,
            &[bookworm_http::idempotency::MIGRATION],
            store::MIGRATIONS,
        ]
        .concat();
        db.migrate(&migrations, clock.now()).await?;
        let keys = match &settings.guest_link_secret {
            Some(secret) => AccessKeys::new(secret.expose().as_bytes()),
            None => AccessKeys::new(store::secrets::guest_link(&db).await?.as_bytes()),
        };
        Ok(Self(Arc::new(Ordering {
            db,
            outbox: Outbox::new(clock.clone()),
            terms: service::terms(&settings, currency),
            settings,
            clock,
            keys,
            clients: Clients { basket, catalog },
            outcomes: Outcomes::default(),
        })))
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

    /// What other services ask.
    #[must_use]
    pub fn grpc(&self) -> OrderingServer<impl ordering_server::Ordering> {
        OrderingServer::new(grpc::Server(self.0.clone()))
    }

    /// Reactions to other services' events.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.0)]
    }

    /// What each instance follows where several share the work: a request that waits here is woken by what another
    /// decides.
    #[must_use]
    pub fn follower(&self) -> Consumer {
        outcomes::follower(&self.0)
    }

    /// Its background loops: time-outs of checkouts, forgetting old idempotency keys, and for orders of older releases:
    /// making them searchable, and giving coupons back.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let (service, old) = (self.0.clone(), self.0.clone());
        vec![
            Loop::new("ordering.timeouts", move |stop| reactions::time_out::run(service.clone(), stop)).leader_only(),
            features::forget_keys::every_hour(self.0.clone()),
            features::return_coupons::every_few_minutes(self.0.clone()),
            Loop::new("ordering.search_keys", move |stop| features::key_orders::run(old.clone(), stop)).leader_only(),
        ]
    }

    /// Rebuilds every projection from its events, and says which rows were not equal to what they should be.
    ///
    /// # Errors
    /// When the database fails or an event cannot be read.
    pub async fn replay(&self) -> Result<ReplayReport, DbError> {
        features::replay_orders::replay(&self.0).await
    }

    /// What reconciliation must know of every order, folded from its events.
    ///
    /// # Errors
    /// When the database fails or an event cannot be read.
    pub async fn order_facts(&self) -> Result<Vec<OrderFacts>, DbError> {
        features::order_facts::order_facts(&self.0).await
    }

    /// How often each coupon was counted. Read it before [`order_facts`](Self::order_facts).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn coupon_counters(&self) -> Result<CouponCounters, DbError> {
        features::compare_coupons::counters(&self.0).await
    }

    /// Compares how often each coupon was counted with the orders that use it. What was counted since `before` is left for
    /// another time: the shop may be running.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn compare_coupons(
        &self,
        before: CouponCounters,
        orders: &[OrderFacts],
    ) -> Result<Vec<CouponDifference>, DbError> {
        features::compare_coupons::compare(&self.0, before, orders).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Where its messages wait for the relay.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }
}
