use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use bookworm_config::Settings;
use bookworm_contracts::rest::{
    finance::{Difference, ReconciliationReport},
    ordering::PaymentStatus,
};
use bookworm_db::Db;
use bookworm_finance::{Dependencies, FinanceService, OrderFacts, Providers, SandboxProvider};
use bookworm_kernel::OrderId;
use bookworm_messaging as messaging;
use bookworm_ordering::{CouponDifference, OrderingService};

use super::books;
use crate::foundation::{Addresses, Foundation, Owner};

/// How often to look, at most. The databases are read one after the other while the shop may be running: what was on
/// its way between two of them agrees at the next look.
const LOOKS: u32 = 5;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_secs(1);

/// What a reconciliation found.
#[derive(Debug)]
pub struct Reconciled {
    report: ReconciliationReport,
    /// Differences of orders about which a message is still on its way: they end when it arrives.
    in_flight: Vec<Difference>,
}

impl Reconciled {
    /// Whether orders, payments, provider, ledger and coupons agree, but for what is on its way.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.report.differences.is_empty()
    }
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |note: &str, difference: &Difference| match difference.order_id {
            Some(order) => writeln!(f, "{note}{}: order {order}: {}", difference.kind, difference.detail),
            None => writeln!(f, "{note}{}: {}", difference.kind, difference.detail),
        };
        self.report.differences.iter().try_for_each(|difference| line("", difference))?;
        self.in_flight.iter().try_for_each(|difference| line("in flight: ", difference))?;
        let ReconciliationReport { orders, payments, transactions, differences, .. } = &self.report;
        write!(
            f,
            "{orders} orders, {payments} payments and {transactions} ledger transactions: {}",
            match differences.len() {
                0 => "all agree".to_owned(),
                1 => "1 difference".to_owned(),
                many => format!("{many} differences"),
            }
        )?;
        match self.in_flight.len() {
            0 => writeln!(f),
            count => writeln!(f, "; {count} in flight, which end when their messages arrive"),
        }
    }
}

/// Compares every order, as its events describe it, with payments, the provider's books, the ledger and the coupons' counters.
///
/// # Errors
/// When a database cannot be used.
pub async fn reconcile(settings: Settings) -> anyhow::Result<Reconciled> {
    let addresses = Addresses::of(&settings);
    let foundation = Foundation::open(settings, addresses, Owner::Reader, Vec::new()).await?;
    let (payment, clock) = (&foundation.settings.payment, &foundation.clock);
    let sandbox =
        SandboxProvider::open(foundation.inventory.database("sandbox").await?, payment, clock.clone()).await?;
    let finance = FinanceService::open(Dependencies {
        db: foundation.inventory.database(FinanceService::NAME).await?,
        clock: clock.clone(),
        settings: payment.clone(),
        providers: Providers::new(Arc::new(sandbox.clone())),
    })
    .await?;
    let ordering = books::ordering(&foundation).await?;

    let mut looks = 1;
    let mut reconciled = look(&foundation, &ordering, &finance).await?;
    while !reconciled.agrees() && looks < LOOKS {
        tokio::time::sleep(PAUSE).await;
        looks += 1;
        let again = look(&foundation, &ordering, &finance).await?;
        let stays = again.report.differences == reconciled.report.differences;
        reconciled = again;
        if stays {
            break;
        }
    }
    for db in [ordering.db(), finance.db(), sandbox.db(), &foundation.bus_db] {
        db.close().await;
    }
    foundation.inventory.close().await;
    Ok(reconciled)
}

async fn look(
    foundation: &Foundation,
    ordering: &OrderingService,
    finance: &FinanceService,
) -> anyhow::Result<Reconciled> {
    let mut moving = HashSet::new();
    let outboxes = [ordering.db(), finance.db()];
    collect_moving(foundation, outboxes, &mut moving).await?;
    let counters = ordering.coupon_counters().await?;
    let orders = ordering.order_facts().await?;
    // Right after the orders were read, so that little is counted in between.
    let coupons = ordering.compare_coupons(counters, &orders).await?;
    let facts = orders.into_iter().map(|order| OrderFacts {
        order_id: order.order_id,
        status: order.status.into(),
        total: order.total,
        confirmed: order.confirmed,
        payment_captured: Some(is_captured(order.payment)),
        refunded: order.refunded,
    });
    let mut report = finance.reconcile(facts.collect()).await?;
    report.differences.extend(coupons.into_iter().map(|CouponDifference { kind, detail }| Difference {
        kind: kind.to_owned(),
        order_id: None,
        detail,
    }));
    // What began while the databases were read counts too.
    collect_moving(foundation, outboxes, &mut moving).await?;
    let (in_flight, differences) = std::mem::take(&mut report.differences)
        .into_iter()
        .partition(|difference| difference.order_id.is_some_and(|order| moving.contains(&order)));
    report.differences = differences;
    Ok(Reconciled { report, in_flight })
}

/// The orders about which a message waits in an outbox or on the bus.
async fn collect_moving(
    foundation: &Foundation,
    outboxes: [&Db; 2],
    moving: &mut HashSet<OrderId>,
) -> anyhow::Result<()> {
    // In the order in which messages travel: one that moves on meanwhile is met again.
    let mut note = |envelope: messaging::Envelope| {
        let order = envelope.data.get("order_id").and_then(|id| id.as_str()?.parse().ok());
        moving.extend(order.map(OrderId::from_uuid));
    };
    for outbox in outboxes {
        messaging::waiting(outbox, &mut note).await?;
    }
    Ok(foundation.undelivered(&mut note).await?)
}

fn is_captured(payment: PaymentStatus) -> bool {
    matches!(payment, PaymentStatus::Captured | PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded)
}
