//! Payments and their refunds.

use std::{collections::HashMap, time::Duration};

use bookworm_db::{DbError, FromRow, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Cause, OrderId, PaymentId, Timestamp};
use uuid::Uuid;

use super::money;
use crate::domain::payment::{Payment, Refund, RefundStatus, Status};

const COLUMNS: &str = "id, order_id, amount, currency, status, attempted, capture_requested, void_requested, \
                       delivered, captured, refunded, action_url, reason, provider, reference, cause, checks, \
                       created_at, updated_at";

/// A payment as stored, with what only the store needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub payment: Payment,
    /// The provider's name.
    pub provider: String,
    /// What asked for it: events that follow from a webhook belong to it too.
    pub cause: Cause,
    /// How often it was followed up without a change.
    pub checks: i64,
    pub updated_at: Timestamp,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    order_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    attempted: bool,
    capture_requested: bool,
    void_requested: bool,
    delivered: bool,
    captured: i64,
    refunded: i64,
    action_url: Option<String>,
    reason: Option<String>,
    provider: String,
    reference: Option<String>,
    cause: String,
    checks: i64,
    created_at: i64,
    updated_at: i64,
}

impl Row {
    fn into_stored(self, refunds: Vec<Refund>) -> Result<Stored, DbError> {
        let corrupt = |what: String| DbError::Corrupt(what);
        Ok(Stored {
            payment: Payment {
                id: PaymentId::from_uuid(self.id),
                order_id: OrderId::from_uuid(self.order_id),
                amount: money(self.amount, &self.currency)?,
                status: Status::parse(&self.status)
                    .ok_or_else(|| corrupt(format!("a payment is `{}`", self.status)))?,
                attempted: self.attempted,
                capture_requested: self.capture_requested,
                void_requested: self.void_requested,
                delivered: self.delivered,
                captured: money(self.captured, &self.currency)?,
                refunded: money(self.refunded, &self.currency)?,
                action_url: self.action_url,
                reason: self.reason,
                reference: self.reference,
                refunds,
                created_at: Timestamp::from_micros(self.created_at),
            },
            provider: self.provider,
            cause: serde_json::from_str(&self.cause).map_err(|error| corrupt(error.to_string()))?,
            checks: self.checks,
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}

#[derive(FromRow)]
struct Provider {
    provider: String,
}

#[derive(FromRow)]
struct RefundRow {
    id: Uuid,
    payment_id: Uuid,
    amount: i64,
    currency: String,
    status: String,
    reason: String,
}

impl RefundRow {
    fn into_refund(self) -> Result<Refund, DbError> {
        Ok(Refund {
            id: self.id,
            amount: money(self.amount, &self.currency)?,
            status: RefundStatus::parse(&self.status)
                .ok_or_else(|| DbError::Corrupt(format!("a refund is `{}`", self.status)))?,
            reason: self.reason,
        })
    }
}

/// Reads the refunds that belong to these payments. Payments that have not been captured may have refused ones.
async fn complete(sql: &impl Sql, rows: Vec<Row>) -> Result<Vec<Stored>, DbError> {
    let mut refunds: HashMap<Uuid, Vec<Refund>> = HashMap::new();
    if !rows.is_empty() {
        let ids: Vec<Value> = rows.iter().map(|row| Value::from(row.id)).collect();
        let statement = format!(
            "SELECT id, payment_id, amount, currency, status, reason FROM refunds WHERE payment_id IN ({}) \
             ORDER BY payment_id, position",
            in_list(1, ids.len())
        );
        for row in sql.all::<RefundRow>(&statement, ids).await? {
            refunds.entry(row.payment_id).or_default().push(row.into_refund()?);
        }
    }
    rows.into_iter()
        .map(|row| {
            let own = refunds.remove(&row.id).unwrap_or_default();
            row.into_stored(own)
        })
        .collect()
}

/// Which payment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Order(OrderId),
    Payment(PaymentId),
}

impl Key {
    fn column(self) -> (&'static str, Uuid) {
        match self {
            Self::Order(id) => ("order_id", id.uuid()),
            Self::Payment(id) => ("id", id.uuid()),
        }
    }
}

/// A payment, locked until this unit of work ends.
pub(crate) async fn lock(tx: &Tx, key: Key) -> Result<Option<Stored>, DbError> {
    let (column, id) = key.column();
    let row: Option<Row> = tx
        .one(&format!("UPDATE payments SET version = version + 1 WHERE {column} = $1 RETURNING {COLUMNS}"), values![id])
        .await?;
    Ok(complete(tx, row.into_iter().collect()).await?.pop())
}

/// A payment, to look at.
pub(crate) async fn find(sql: &impl Sql, key: Key) -> Result<Option<Stored>, DbError> {
    let (column, id) = key.column();
    let row: Option<Row> = sql.one(&format!("SELECT {COLUMNS} FROM payments WHERE {column} = $1"), values![id]).await?;
    Ok(complete(sql, row.into_iter().collect()).await?.pop())
}

/// A payment, by what its provider calls it.
pub(crate) async fn find_by_reference(
    sql: &impl Sql,
    provider: &str,
    reference: &str,
) -> Result<Option<Stored>, DbError> {
    let select = format!("SELECT {COLUMNS} FROM payments WHERE reference = $1 AND provider = $2");
    let row: Option<Row> = sql.one(&select, values![reference, provider]).await?;
    Ok(complete(sql, row.into_iter().collect()).await?.pop())
}

/// The providers of payments that are not over.
pub(crate) async fn providers_of_open(sql: &impl Sql) -> Result<Vec<String>, DbError> {
    let rows: Vec<Provider> = sql.all("SELECT DISTINCT provider FROM payments WHERE is_open", []).await?;
    Ok(rows.into_iter().map(|row| row.provider).collect())
}

/// Writes a new payment unless the order has one. Whether it had none.
pub(crate) async fn insert(
    tx: &Tx,
    payment: &Payment,
    provider: &str,
    cause: &Cause,
    check_at: Timestamp,
) -> Result<bool, DbError> {
    let cause = serde_json::to_string(cause).map_err(|error| DbError::Corrupt(error.to_string()))?;
    let new = tx
        .exec(
            &format!(
                "INSERT INTO payments ({COLUMNS}, version, is_open, check_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
                 $9, $10, $11, $12, $13, $14, $15, $16, 0, $17, $17, 1, $18, $19) ON CONFLICT DO NOTHING"
            ),
            values![
                payment.id.uuid(),
                payment.order_id.uuid(),
                payment.amount.amount,
                payment.amount.currency.code(),
                payment.status.as_str(),
                payment.attempted,
                payment.capture_requested,
                payment.void_requested,
                payment.delivered,
                payment.captured.amount,
                payment.refunded.amount,
                payment.action_url.clone(),
                payment.reason.clone(),
                provider,
                payment.reference.clone(),
                cause,
                payment.created_at.micros(),
                payment.is_open(),
                check_at.micros()
            ],
        )
        .await?;
    Ok(new == 1)
}

/// Writes what a decision changed of a payment that this unit of work has locked.
pub(crate) async fn update(
    tx: &Tx,
    before: &Payment,
    after: &Payment,
    now: Timestamp,
    check_at: Timestamp,
) -> Result<(), DbError> {
    if before == after {
        return Ok(());
    }
    tx.exec(
        "UPDATE payments SET amount = $2, currency = $3, status = $4, capture_requested = $5, void_requested = $6, \
         delivered = $7, captured = $8, refunded = $9, action_url = $10, reason = $11, reference = $12, is_open = $13, \
         checks = 0, check_at = $14, updated_at = $15 WHERE id = $1",
        values![
            after.id.uuid(),
            after.amount.amount,
            after.amount.currency.code(),
            after.status.as_str(),
            after.capture_requested,
            after.void_requested,
            after.delivered,
            after.captured.amount,
            after.refunded.amount,
            after.action_url.clone(),
            after.reason.clone(),
            after.reference.clone(),
            after.is_open(),
            check_at.micros(),
            now.micros()
        ],
    )
    .await?;
    for (position, refund) in after.refunds.iter().enumerate() {
        if before.refunds.get(position) != Some(refund) {
            tx.exec(
                "INSERT INTO refunds (id, payment_id, amount, currency, status, reason, position, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) \
                 ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = excluded.reason, \
                 updated_at = excluded.updated_at",
                values![
                    refund.id,
                    after.id.uuid(),
                    refund.amount.amount,
                    refund.amount.currency.code(),
                    refund.status.as_str(),
                    refund.reason.clone(),
                    position as i64,
                    now.micros()
                ],
            )
            .await?;
        }
    }
    Ok(())
}

/// Payments, latest first, from those after `after` on.
pub(crate) async fn list(
    sql: &impl Sql,
    status: Option<Status>,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Stored>, DbError> {
    let (mut conditions, mut bound): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    if let Some(status) = status {
        bound.push(Value::from(status.as_str()));
        conditions.push(format!("status = ${}", bound.len()));
    }
    if let Some(after) = after {
        bound.push(Value::from(after));
        conditions.push(format!("id < ${}", bound.len()));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    bound.push(Value::from(limit as i64));
    let statement = format!("SELECT {COLUMNS} FROM payments {filter} ORDER BY id DESC LIMIT ${}", bound.len());
    complete(sql, sql.all(&statement, bound).await?).await
}

/// Payments that changed at or after `since`, by id, from those after `after` on: to walk through all of them.
pub(crate) async fn walk(
    sql: &impl Sql,
    since: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Stored>, DbError> {
    let rows: Vec<Row> = sql
        .all(
            &format!("SELECT {COLUMNS} FROM payments WHERE updated_at >= $1 AND id > $2 ORDER BY id LIMIT $3"),
            values![since.micros(), after.unwrap_or_default(), limit],
        )
        .await?;
    complete(sql, rows).await
}

/// The payments of these orders.
pub(crate) async fn of_orders(sql: &impl Sql, orders: &[OrderId]) -> Result<Vec<Stored>, DbError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Value> = orders.iter().map(|id| Value::from(id.uuid())).collect();
    let statement = format!("SELECT {COLUMNS} FROM payments WHERE order_id IN ({})", in_list(1, ids.len()));
    complete(sql, sql.all(&statement, ids).await?).await
}

/// Payments that have been open for too long.
pub(crate) async fn due(sql: &impl Sql, now: Timestamp, limit: i64) -> Result<Vec<Stored>, DbError> {
    let rows: Vec<Row> = sql
        .all(
            &format!("SELECT {COLUMNS} FROM payments WHERE is_open AND check_at <= $1 ORDER BY check_at LIMIT $2"),
            values![now.micros(), limit],
        )
        .await?;
    complete(sql, rows).await
}

/// Sets when to follow up a payment again, which has not changed.
pub(crate) async fn postpone(tx: &Tx, id: PaymentId, checks: i64, check_at: Timestamp) -> Result<(), DbError> {
    tx.exec(
        "UPDATE payments SET checks = $2, check_at = $3 WHERE id = $1",
        values![id.uuid(), checks, check_at.micros()],
    )
    .await?;
    Ok(())
}

/// How long to wait before following up an open payment that was followed up `checks` times: 1 minute, doubling, 1
/// hour at most.
pub(crate) fn check_after(checks: i64) -> Duration {
    Duration::from_secs(60 << checks.clamp(0, 6)).min(Duration::from_secs(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_payment_is_read_and_written_as_it_was_stored() {
        let stored = r#"{"correlation_id":"0192f0c4-0000-7000-8000-000000000001","causation_id":"0192f0c4-0000-7000-8000-000000000002","trace":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
        let cause: Cause = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&cause).unwrap(), stored);
    }
}
