//! Payments, the sandbox provider, the ledger, reconciliation.
//!
//! | to change | open |
//! |---|---|
//! | what a payment may do next | [`domain::payment`] |
//! | what is booked | [`domain::ledger`] |
//! | what counts as a difference | [`domain::reconciliation`] |
//! | how a command is carried out, and why a crash does no harm | `service.rs` |
//! | what a provider must do | [`provider::PaymentProvider`] |
//! | the test cards and the 3-D Secure page | [`provider::sandbox`] |
//!
//! A transaction is never open while the provider is asked. The intent is recorded first, then the provider is asked
//! under an idempotency key made of the payment and the operation, then the outcome, the ledger's entries, the inbox's
//! record of the command and the event that answers it are stored together. After a crash anywhere the same command
//! comes again and does the same, once. Should a command be lost for good, `features/follow_up.rs` finishes what was
//! recorded as wanted.

pub mod domain;
mod features;
pub mod provider;
mod reactions;
mod service;
mod store;

use std::{sync::Arc, time::Duration};

use bookworm_config as settings;
use bookworm_contracts::rest::finance::ReconciliationReport;
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::Finance;
pub use crate::{
    domain::reconciliation::{OrderFacts, OrderStatus},
    provider::{
        PaymentProvider, Providers,
        sandbox::{RouterSender, SandboxProvider, Webhook, WebhookSender},
    },
};

/// What the service stands on.
pub struct Dependencies {
    /// Its database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The section `payment` of the settings.
    pub settings: settings::Payment,
    /// Where payments are made, and were made before.
    pub providers: Providers,
}

/// The finance service. Cheap to clone.
#[derive(Clone)]
pub struct FinanceService(Arc<Finance>);

impl FinanceService {
    /// The service's name, also its database's.
    pub const NAME: &str = "finance";

    /// Brings the schema up to date and starts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, settings, providers } = dependencies;
        let migrations: Vec<Migration> =
            bookworm_messaging::MIGRATIONS.iter().chain(store::MIGRATIONS).copied().collect();
        db.migrate(&migrations, clock.now()).await?;
        let (outbox, timeout) = (Outbox::new(clock.clone()), Duration::from_secs(settings.timeout_seconds));
        for name in store::payments::providers_of_open(db.read()).await? {
            if let Err(error) = providers.named(&name) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "payments that are not over cannot go on without it"
                );
            }
        }
        Ok(Self(Arc::new(Finance { db, outbox, clock, providers, timeout })))
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        routes().into_openapi()
    }

    /// Its part of the public API, without `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        routes().with_state(self.0.clone())
    }

    /// What it reacts to.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        reactions::consumers(&self.0)
    }

    /// Its background loops: finishes payments that were left under way.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        vec![features::follow_up::regularly(self.0.clone())]
    }

    /// Runs the background loop's work once: for tests that control the time. Returns how many payments were due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn follow_up(&self) -> Result<usize, DbError> {
        features::follow_up::once(&self.0).await
    }

    /// Compares these orders, which must be all there are, with every payment, the provider and the ledger. Nothing
    /// should be under way meanwhile, or it is reported as a difference.
    ///
    /// # Errors
    /// When the database fails. A provider that does not answer is a difference, not an error.
    pub async fn reconcile(&self, orders: Vec<OrderFacts>) -> Result<ReconciliationReport, DbError> {
        features::reconcile::all(&self.0, orders).await
    }

    /// Its database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Where it leaves its messages.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }
}

fn routes() -> OpenApiRouter<Arc<Finance>> {
    OpenApiRouter::new()
        .routes(routes!(features::payment_methods::list_payment_methods))
        .routes(routes!(features::receive_webhook::receive_webhook))
        .routes(routes!(features::list_payments::list_payments))
        .routes(routes!(features::get_payment::get_payment))
        .routes(routes!(features::ledger_balances::list_ledger_balances))
        .routes(routes!(features::reconcile::get_reconciliation))
}
