use std::{fmt, sync::Arc};

use bookworm_config::Settings;
use bookworm_contracts::rest::{finance::ReconciliationReport, ordering::PaymentStatus};
use bookworm_finance::{FinanceService, OrderFacts, SandboxProvider};

use super::books;
use crate::foundation::{Foundation, Owner};

/// What a reconciliation found.
#[derive(Debug)]
pub struct Reconciled(ReconciliationReport);

impl Reconciled {
    /// Whether orders, payments, provider and ledger agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.0.differences.is_empty()
    }
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.0.differences {
            match difference.order_id {
                Some(order) => writeln!(f, "{}: order {order}: {}", difference.kind, difference.detail)?,
                None => writeln!(f, "{}: {}", difference.kind, difference.detail)?,
            }
        }
        let ReconciliationReport { orders, payments, transactions, differences, .. } = &self.0;
        writeln!(
            f,
            "{orders} orders, {payments} payments and {transactions} ledger transactions: {}",
            match differences.len() {
                0 => "all agree".to_owned(),
                1 => "1 difference".to_owned(),
                many => format!("{many} differences"),
            }
        )
    }
}

/// Holds every order, as its events tell it, against payments, the provider's books and the ledger.
///
/// # Errors
/// When a database cannot be used.
pub async fn reconcile(settings: Settings) -> anyhow::Result<Reconciled> {
    let listening = settings.listen;
    let foundation = Foundation::open(settings, listening, Owner::Guest).await?;
    let (payment, clock) = (&foundation.settings.payment, &foundation.clock);
    let sandbox = SandboxProvider::open(foundation.databases.open("sandbox").await?, payment, clock.clone()).await?;
    let finance_db = foundation.databases.open(FinanceService::NAME).await?;
    let finance = FinanceService::open(finance_db, payment, clock.clone(), Arc::new(sandbox.clone())).await?;
    let ordering = books::ordering(&foundation).await?;
    let facts = ordering.order_facts().await?.into_iter().map(|order| OrderFacts {
        order_id: order.order_id,
        status: order.status,
        total: order.total,
        confirmed: order.confirmed,
        payment_captured: Some(is_captured(order.payment)),
        refunded: order.refunded,
    });
    let report = finance.reconcile(facts.collect()).await?;
    for db in [ordering.db(), finance.db(), sandbox.db()] {
        db.close().await;
    }
    Ok(Reconciled(report))
}

fn is_captured(payment: PaymentStatus) -> bool {
    matches!(payment, PaymentStatus::Captured | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded)
}
