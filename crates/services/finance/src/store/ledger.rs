//! The ledger: only ever added to.

use std::collections::HashMap;

use bookworm_db::{DbError, FromRow, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Money, PaymentId, Timestamp};
use uuid::Uuid;

use super::money;
use crate::domain::{
    ledger::{Kind, LedgerTransaction},
    reconciliation::LedgerFacts,
};

/// Currencies times accounts: far more than any shop has.
const MOST_BALANCES: i64 = 1000;
/// The most unbalanced transactions that a report names.
const MOST_UNBALANCED: i64 = 100;

/// Books a transaction. What was booked before under the same kind and reference is refused by a unique key, and the
/// whole unit of work with it: nothing is ever booked twice.
pub(crate) async fn book(
    tx: &Tx,
    payment: PaymentId,
    transaction: &LedgerTransaction,
    now: Timestamp,
) -> Result<(), DbError> {
    let id = Uuid::now_v7();
    tx.exec(
        "INSERT INTO ledger_transactions (id, kind, reference, payment_id, at) VALUES ($1, $2, $3, $4, $5)",
        values![id, transaction.kind().as_str(), transaction.reference(), payment.uuid(), now.micros()],
    )
    .await?;
    for (position, entry) in transaction.entries().iter().enumerate() {
        tx.exec(
            "INSERT INTO ledger_entries (transaction_id, position, account, amount, currency) VALUES ($1, $2, $3, $4, $5)",
            values![
                id,
                position as i64,
                entry.account.as_str(),
                entry.amount.amount,
                entry.amount.currency.code()
            ],
        )
        .await?;
    }
    Ok(())
}

/// Whether the discount of an order was booked.
pub(crate) async fn has_discount(sql: &impl Sql, order: Uuid) -> Result<bool, DbError> {
    let booked: Option<i64> = sql
        .scalar(
            "SELECT COUNT(*) FROM ledger_transactions WHERE kind = $1 AND reference = $2",
            values![Kind::Discount.as_str(), order],
        )
        .await?;
    Ok(booked.unwrap_or(0) > 0)
}

/// The balance of every account that was ever used, in each of its currencies.
pub(crate) async fn balances(sql: &impl Sql) -> Result<Vec<(String, Money)>, DbError> {
    #[derive(FromRow)]
    struct Row {
        account: String,
        currency: String,
        balance: i64,
    }
    let rows: Vec<Row> = sql
        .all(
            "SELECT account, currency, CAST(SUM(amount) AS BIGINT) AS balance FROM ledger_entries \
             GROUP BY account, currency ORDER BY account, currency LIMIT $1",
            values![MOST_BALANCES],
        )
        .await?;
    rows.into_iter().map(|row| Ok((row.account, money(row.balance, &row.currency)?))).collect()
}

/// What the ledger says about these payments.
pub(crate) async fn facts(sql: &impl Sql, payments: &[PaymentId]) -> Result<HashMap<PaymentId, LedgerFacts>, DbError> {
    #[derive(FromRow)]
    struct Row {
        payment_id: Uuid,
        kind: String,
        amount: i64,
    }
    let mut facts: HashMap<PaymentId, LedgerFacts> = HashMap::new();
    if payments.is_empty() {
        return Ok(facts);
    }
    let ids: Vec<Value> = payments.iter().map(|id| Value::from(id.uuid())).collect();
    let statement = format!(
        "SELECT t.payment_id, t.kind, CAST(SUM(e.amount) AS BIGINT) AS amount FROM ledger_transactions t \
         JOIN ledger_entries e ON e.transaction_id = t.id \
         WHERE e.account = 'provider_clearing' AND t.payment_id IN ({}) GROUP BY t.payment_id, t.kind",
        in_list(1, ids.len())
    );
    for row in sql.all::<Row>(&statement, ids).await? {
        let entry = facts.entry(PaymentId::from_uuid(row.payment_id)).or_default();
        match row.kind.as_str() {
            "capture" => entry.captured += row.amount,
            _ => entry.refunded -= row.amount,
        }
    }
    Ok(facts)
}

/// How many transactions there are since then.
pub(crate) async fn count(sql: &impl Sql, since: Timestamp) -> Result<i64, DbError> {
    let count: Option<i64> =
        sql.scalar("SELECT COUNT(*) FROM ledger_transactions WHERE at >= $1", values![since.micros()]).await?;
    Ok(count.unwrap_or(0))
}

/// Transactions since then that do not sum to zero in one currency, or have fewer than two entries.
pub(crate) async fn unbalanced(sql: &impl Sql, since: Timestamp) -> Result<Vec<Uuid>, DbError> {
    #[derive(FromRow)]
    struct Row {
        id: Uuid,
    }
    let rows: Vec<Row> = sql
        .all(
            "SELECT t.id FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.transaction_id = t.id \
             WHERE t.at >= $1 GROUP BY t.id \
             HAVING COUNT(e.position) < 2 OR SUM(e.amount) <> 0 OR COUNT(DISTINCT e.currency) <> 1 \
             ORDER BY t.id LIMIT $2",
            values![since.micros(), MOST_UNBALANCED],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Transactions since then of payments that do not exist.
pub(crate) async fn orphans(sql: &impl Sql, since: Timestamp) -> Result<Vec<Uuid>, DbError> {
    #[derive(FromRow)]
    struct Row {
        id: Uuid,
    }
    let rows: Vec<Row> = sql
        .all(
            "SELECT t.id FROM ledger_transactions t LEFT JOIN payments p ON p.id = t.payment_id \
             WHERE p.id IS NULL AND t.at >= $1 ORDER BY t.id LIMIT $2",
            values![since.micros(), MOST_UNBALANCED],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
