use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use axum::extract::State;
use bookworm_contracts::rest::{finance as rest, finance::ReconciliationReport, ordering};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, Result as HttpResult, auth::StaffOnly};
use bookworm_kernel::{OrderId, PaymentId, Timestamp};
use futures::{FutureExt, StreamExt, future::BoxFuture};

use crate::{
    domain::reconciliation::{
        Difference, OrderFacts, OrderStatus, ProviderView, compare_ledger, compare_order, compare_provider,
        without_order,
    },
    service::Finance,
    store::{
        ledger, order_facts,
        payments::{self, Stored},
    },
};

/// What the running shop's report covers: orders and payments that changed within this time.
const RECENT: Duration = Duration::from_secs(7 * 24 * 3600);
/// What changed within this time may still be under way: the running shop's report leaves it out.
const MOVING: Duration = Duration::from_secs(60);
/// Payments and orders read at once.
const CHUNK: usize = 500;
/// Payments asked about at once.
const AT_ONCE: usize = 16;

impl From<ordering::OrderStatus> for OrderStatus {
    fn from(status: ordering::OrderStatus) -> Self {
        match status {
            ordering::OrderStatus::Pending => Self::Pending,
            ordering::OrderStatus::Confirmed => Self::Confirmed,
            ordering::OrderStatus::Shipped => Self::Shipped,
            ordering::OrderStatus::Completed => Self::Completed,
            ordering::OrderStatus::Cancelled => Self::Cancelled,
            ordering::OrderStatus::Rejected => Self::Rejected,
            ordering::OrderStatus::Refunded => Self::Refunded,
        }
    }
}

fn shown(Difference { kind, order_id, detail }: Difference) -> rest::Difference {
    rest::Difference { kind, order_id, detail }
}

/// Orders, payments, provider and ledger compared.
///
/// Whatever changed within the last seven days, but not within the last minute; `bookworm reconcile` compares everything.
/// Staff.
#[utoipa::path(
    get,
    path = "/admin/reconciliation",
    tag = "finance",
    responses(
        (status = 200, description = "The report; without differences all is well.", body = ReconciliationReport),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn get_reconciliation(
    State(finance): State<Arc<Finance>>,
    _staff: StaffOnly,
) -> HttpResult<ApiJson<ReconciliationReport>> {
    Ok(ApiJson(recent(&finance).await?))
}

/// What finance itself has recorded of the orders.
async fn recent(finance: &Arc<Finance>) -> Result<ReconciliationReport, DbError> {
    let now = finance.now();
    let (since, until) = (now.minus(RECENT), now.minus(MOVING));
    let (mut orders, mut moving, mut after) = (HashMap::new(), HashSet::new(), None);
    loop {
        let chunk = order_facts::walk(finance.db.read(), since, after, CHUNK as i64).await?;
        let Some((last, _)) = chunk.last() else { break };
        after = Some(last.order_id);
        for (facts, updated_at) in chunk {
            if updated_at < until {
                orders.insert(facts.order_id, facts);
            } else {
                moving.insert(facts.order_id);
            }
        }
    }
    Comparison { finance, orders, moving, since, until, complete: false, found: Vec::new() }.run().await
}

/// All orders there are, handed in, against everything.
pub(crate) async fn all(finance: &Arc<Finance>, orders: Vec<OrderFacts>) -> Result<ReconciliationReport, DbError> {
    let (since, until) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    let orders = orders.into_iter().map(|facts| (facts.order_id, facts)).collect();
    let moving = HashSet::new();
    Comparison { finance, orders, moving, since, until, complete: true, found: Vec::new() }.run().await
}

struct Comparison<'a> {
    finance: &'a Arc<Finance>,
    /// Orders that no payment was found for yet.
    orders: HashMap<OrderId, OrderFacts>,
    /// Orders that may still be under way.
    moving: HashSet<OrderId>,
    since: Timestamp,
    until: Timestamp,
    /// Whether `orders` are all there are.
    complete: bool,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    async fn run(mut self) -> Result<ReconciliationReport, DbError> {
        let sql = self.finance.db.read();
        let (orders, mut count) = (self.orders.len(), 0);
        let mut after = None;
        loop {
            let chunk = payments::walk(sql, self.since, after, CHUNK as i64).await?;
            let Some(last) = chunk.last() else { break };
            after = Some(last.payment.id.uuid());
            let chunk: Vec<Stored> = chunk.into_iter().filter(|stored| !self.is_moving(stored)).collect();
            count += chunk.len();
            self.payments(chunk).await?;
        }
        self.orders_left().await?;
        for id in ledger::unbalanced(sql, self.since).await? {
            let detail = format!("The transaction {id} does not sum to zero in one currency.");
            self.found.push(Difference { kind: "ledger_transaction_unbalanced".to_owned(), order_id: None, detail });
        }
        for id in ledger::orphans(sql, self.since).await? {
            let detail = format!("The transaction {id} belongs to no payment.");
            self.found.push(Difference {
                kind: "ledger_transaction_without_payment".to_owned(),
                order_id: None,
                detail,
            });
        }
        let mut differences = self.found;
        differences.sort_by(|a, b| (&a.kind, a.order_id).cmp(&(&b.kind, b.order_id)));
        metrics::gauge!("reconciliation_differences").set(differences.len() as f64);
        Ok(ReconciliationReport {
            at: self.finance.now(),
            orders: orders as i64,
            payments: count as i64,
            transactions: ledger::count(sql, self.since).await?,
            differences: differences.into_iter().map(shown).collect(),
        })
    }

    fn is_moving(&self, stored: &Stored) -> bool {
        stored.updated_at >= self.until || self.moving.contains(&stored.payment.order_id)
    }

    /// A chunk of payments against their orders, the provider and the ledger.
    async fn payments(&mut self, chunk: Vec<Stored>) -> Result<(), DbError> {
        let sql = self.finance.db.read();
        let mut older = HashMap::new();
        if !self.complete {
            // Their orders may have changed before the time looked at, while the payments have changed since.
            let missing: Vec<OrderId> = chunk
                .iter()
                .map(|stored| stored.payment.order_id)
                .filter(|order| !self.orders.contains_key(order))
                .collect();
            for (facts, _) in order_facts::of_orders(sql, &missing).await? {
                older.insert(facts.order_id, facts);
            }
        }
        let ids: Vec<PaymentId> = chunk.iter().map(|stored| stored.payment.id).collect();
        let booked = ledger::facts(sql, &ids).await?;
        let questions: Vec<BoxFuture<'static, (PaymentId, ProviderView)>> = chunk
            .iter()
            .filter(|stored| stored.payment.attempted)
            .map(|stored| view(self.finance.clone(), stored.clone()).boxed())
            .collect();
        let views: HashMap<PaymentId, ProviderView> =
            futures::stream::iter(questions).buffer_unordered(AT_ONCE).collect().await;
        for Stored { payment, .. } in &chunk {
            match self.orders.remove(&payment.order_id).or_else(|| older.remove(&payment.order_id)) {
                Some(order) => self.found.extend(compare_order(&order, Some(payment))),
                None => self.found.extend(without_order(payment)),
            }
            self.found.extend(compare_ledger(payment, booked.get(&payment.id).copied().unwrap_or_default()));
            if let Some(view) = views.get(&payment.id) {
                self.found.extend(compare_provider(payment, view));
            }
        }
        Ok(())
    }

    /// Orders whose payments have not changed since the time looked at, or that have none.
    async fn orders_left(&mut self) -> Result<(), DbError> {
        let left: Vec<OrderFacts> = std::mem::take(&mut self.orders).into_values().collect();
        for chunk in left.chunks(CHUNK) {
            let ids: Vec<OrderId> = chunk.iter().map(|order| order.order_id).collect();
            let known: HashMap<OrderId, Stored> = payments::of_orders(self.finance.db.read(), &ids)
                .await?
                .into_iter()
                .map(|stored| (stored.payment.order_id, stored))
                .collect();
            for order in chunk {
                let stored = known.get(&order.order_id);
                if !stored.is_some_and(|stored| self.is_moving(stored)) {
                    self.found.extend(compare_order(order, stored.map(|stored| &stored.payment)));
                }
            }
        }
        Ok(())
    }
}

async fn view(finance: Arc<Finance>, stored: Stored) -> (PaymentId, ProviderView) {
    let view = match finance.fetch(&stored.provider, &stored.payment).await {
        Ok(Some(seen)) => ProviderView::Known(seen),
        Ok(None) => ProviderView::Unknown,
        Err(_) => ProviderView::Unreachable,
    };
    (stored.payment.id, view)
}
