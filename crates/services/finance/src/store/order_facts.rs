//! What finance has recorded of orders: only to compare it with payments and ledger.

use bookworm_db::{DbError, FromRow, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Money, OrderId, Timestamp};
use uuid::Uuid;

use super::money;
use crate::domain::reconciliation::{OrderFacts, OrderStatus};

/// An event may come after a later one: a status replaces only those of a lower rank.
const RANKS: &[(OrderStatus, &str, i64)] = &[
    (OrderStatus::Pending, "pending", 0),
    (OrderStatus::Confirmed, "confirmed", 1),
    (OrderStatus::Shipped, "shipped", 2),
    (OrderStatus::Completed, "completed", 3),
    (OrderStatus::Rejected, "rejected", 4),
    (OrderStatus::Cancelled, "cancelled", 4),
    (OrderStatus::Refunded, "refunded", 5),
];

fn known(status: OrderStatus) -> (&'static str, i64) {
    RANKS.iter().find(|row| row.0 == status).map_or(("pending", 0), |row| (row.1, row.2))
}

/// Notes what an event says. `refunded` is what went back with this very event.
pub(crate) async fn note(
    tx: &Tx,
    order: OrderId,
    status: OrderStatus,
    total: Money,
    refunded: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    let (name, rank) = known(status);
    let confirmed = matches!(status, OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed);
    tx.exec(
        "INSERT INTO order_facts (order_id, status, rank, total, currency, confirmed, refunded, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (order_id) DO UPDATE SET \
           status = CASE WHEN excluded.rank > order_facts.rank THEN excluded.status ELSE order_facts.status END, \
           rank = CASE WHEN excluded.rank > order_facts.rank THEN excluded.rank ELSE order_facts.rank END, \
           confirmed = (order_facts.confirmed OR excluded.confirmed), \
           refunded = order_facts.refunded + excluded.refunded, \
           updated_at = excluded.updated_at",
        values![order.uuid(), name, rank, total.amount, total.currency.code(), confirmed, refunded, now.micros()],
    )
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct Row {
    order_id: Uuid,
    status: String,
    total: i64,
    currency: String,
    confirmed: bool,
    refunded: i64,
    updated_at: i64,
}

const COLUMNS: &str = "order_id, status, total, currency, confirmed, refunded, updated_at";

impl Row {
    fn into_facts(self) -> Result<(OrderFacts, Timestamp), DbError> {
        let status = RANKS.iter().find(|known| known.1 == self.status).map(|known| known.0);
        let total = money(self.total, &self.currency)?;
        let facts = OrderFacts {
            order_id: OrderId::from_uuid(self.order_id),
            status: status.ok_or_else(|| DbError::Corrupt(format!("an order is `{}`", self.status)))?,
            total,
            confirmed: self.confirmed,
            payment_captured: None,
            refunded: Money::new(self.refunded, total.currency),
        };
        Ok((facts, Timestamp::from_micros(self.updated_at)))
    }
}

/// Orders that changed at or after `since`, and when, by id, from those after `after` on.
pub(crate) async fn walk(
    sql: &impl Sql,
    since: Timestamp,
    after: Option<OrderId>,
    limit: i64,
) -> Result<Vec<(OrderFacts, Timestamp)>, DbError> {
    let after = after.map_or(Uuid::nil(), OrderId::uuid);
    let rows: Vec<Row> = sql
        .all(
            &format!(
                "SELECT {COLUMNS} FROM order_facts WHERE updated_at >= $1 AND order_id > $2 ORDER BY order_id LIMIT $3"
            ),
            values![since.micros(), after, limit],
        )
        .await?;
    rows.into_iter().map(Row::into_facts).collect()
}

/// What is known of these orders, and since when.
pub(crate) async fn of_orders(sql: &impl Sql, orders: &[OrderId]) -> Result<Vec<(OrderFacts, Timestamp)>, DbError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Value> = orders.iter().map(|id| Value::from(id.uuid())).collect();
    let statement = format!("SELECT {COLUMNS} FROM order_facts WHERE order_id IN ({})", in_list(1, ids.len()));
    sql.all::<Row>(&statement, ids).await?.into_iter().map(Row::into_facts).collect()
}
