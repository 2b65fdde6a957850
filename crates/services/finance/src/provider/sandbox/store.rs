//! The sandbox's own books.

use bookworm_db::{DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::{Currency, Money, PaymentId, Timestamp};
use uuid::Uuid;

use crate::provider::{ProviderPayment, ProviderRefund, ProviderState};

pub(super) const MIGRATIONS: &[Migration] = &[Migration::new(
    "sandbox/0001_books",
    "CREATE TABLE sandbox_settings (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
          );
          CREATE TABLE sandbox_payments (
            payment_id UUID NOT NULL PRIMARY KEY,
            reference TEXT NOT NULL UNIQUE,
            order_number TEXT NOT NULL,
            token TEXT NOT NULL,
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL,
            status TEXT NOT NULL,
            reason TEXT,
            captured BIGINT NOT NULL,
            challenge_id UUID UNIQUE,
            challenge_secret TEXT,
            challenge_expires_at BIGINT,
            return_path TEXT NOT NULL,
            version BIGINT NOT NULL,
            created_at BIGINT NOT NULL
          );
          CREATE INDEX sandbox_payments_challenges ON sandbox_payments (challenge_expires_at)
            WHERE status = 'action_required';
          CREATE TABLE sandbox_refunds (
            refund_id UUID NOT NULL PRIMARY KEY,
            payment_id UUID NOT NULL REFERENCES sandbox_payments (payment_id),
            amount BIGINT NOT NULL,
            created_at BIGINT NOT NULL
          );
          CREATE INDEX sandbox_refunds_payment ON sandbox_refunds (payment_id);
          CREATE TABLE sandbox_keys (
            idempotency_key TEXT NOT NULL PRIMARY KEY,
            request TEXT NOT NULL,
            at BIGINT NOT NULL
          );
          CREATE TABLE sandbox_webhooks (
            seq {serial},
            event_id UUID NOT NULL,
            payment_id UUID NOT NULL,
            body TEXT NOT NULL,
            status TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            due_at BIGINT NOT NULL
          );
          CREATE INDEX sandbox_webhooks_due ON sandbox_webhooks (due_at) WHERE status = 'waiting';",
)];

/// Challenges that end in one sweep.
const SWEEP: i64 = 100;

/// A payment in the sandbox's books.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Row {
    pub payment_id: Uuid,
    pub reference: String,
    pub order_number: String,
    pub token: String,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub reason: Option<String>,
    pub captured: i64,
    pub challenge_id: Option<Uuid>,
    pub challenge_secret: Option<String>,
    pub challenge_expires_at: Option<i64>,
    pub return_path: String,
}

const COLUMNS: &str = "payment_id, reference, order_number, token, amount, currency, status, reason, captured, \
                       challenge_id, challenge_secret, challenge_expires_at, return_path";

impl Row {
    pub fn money(&self) -> Result<Money, DbError> {
        let currency = Currency::parse(&self.currency).map_err(|e| DbError::Corrupt(e.to_string()))?;
        Ok(Money::new(self.amount, currency))
    }

    /// Whether the time to confirm is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.status == "action_required" && self.challenge_expires_at.is_some_and(|at| at <= now.micros())
    }

    fn state(&self) -> Result<ProviderState, DbError> {
        Ok(match self.status.as_str() {
            "action_required" => ProviderState::ActionRequired {
                url: format!("/sandbox/challenge/{}", self.challenge_id.unwrap_or_default()),
            },
            "authorised" => ProviderState::Authorised,
            "captured" => ProviderState::Captured,
            "voided" => ProviderState::Voided,
            "declined" => ProviderState::Declined { reason: self.reason.clone().unwrap_or_default() },
            other => return Err(DbError::Corrupt(format!("a sandbox payment is `{other}`"))),
        })
    }
}

#[derive(FromRow)]
struct RefundRow {
    refund_id: Uuid,
    amount: i64,
}

/// The payment as the sandbox's customers see it.
pub(super) async fn snapshot(sql: &impl Sql, row: &Row) -> Result<ProviderPayment, DbError> {
    let amount = row.money()?;
    let refunds: Vec<RefundRow> = if row.captured == 0 {
        Vec::new()
    } else {
        sql.all(
            "SELECT refund_id, amount FROM sandbox_refunds WHERE payment_id = $1 ORDER BY refund_id",
            values![row.payment_id],
        )
        .await?
    };
    Ok(ProviderPayment {
        reference: row.reference.clone(),
        state: row.state()?,
        amount,
        captured: Money::new(row.captured, amount.currency),
        refunds: refunds
            .into_iter()
            .map(|refund| ProviderRefund { id: refund.refund_id, amount: Money::new(refund.amount, amount.currency) })
            .collect(),
    })
}

/// Remembers an idempotency key. `false` when it was used for another request.
pub(super) async fn claim_key(tx: &Tx, key: &str, request: &str, now: Timestamp) -> Result<bool, DbError> {
    let new = tx
        .exec(
            "INSERT INTO sandbox_keys (idempotency_key, request, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            values![key, request, now.micros()],
        )
        .await?;
    if new == 1 {
        return Ok(true);
    }
    let known: Option<String> =
        tx.scalar("SELECT request FROM sandbox_keys WHERE idempotency_key = $1", values![key]).await?;
    Ok(known.as_deref() == Some(request))
}

/// Writes a payment unless there is one. Whether there was none.
pub(super) async fn insert(tx: &Tx, row: &Row, now: Timestamp) -> Result<bool, DbError> {
    let new = tx
        .exec(
            &format!(
                "INSERT INTO sandbox_payments ({COLUMNS}, version, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14) ON CONFLICT DO NOTHING"
            ),
            values![
                row.payment_id,
                row.reference.clone(),
                row.order_number.clone(),
                row.token.clone(),
                row.amount,
                row.currency.clone(),
                row.status.clone(),
                row.reason.clone(),
                row.captured,
                row.challenge_id,
                row.challenge_secret.clone(),
                row.challenge_expires_at,
                row.return_path.clone(),
                now.micros()
            ],
        )
        .await?;
    Ok(new == 1)
}

/// A payment, locked for this unit of work: others who want to change it wait.
pub(super) async fn lock(tx: &Tx, payment: PaymentId) -> Result<Option<Row>, DbError> {
    tx.one(
        &format!("UPDATE sandbox_payments SET version = version + 1 WHERE payment_id = $1 RETURNING {COLUMNS}"),
        values![payment.uuid()],
    )
    .await
}

/// A payment, to look at.
pub(super) async fn find(sql: &impl Sql, payment: PaymentId) -> Result<Option<Row>, DbError> {
    sql.one(&format!("SELECT {COLUMNS} FROM sandbox_payments WHERE payment_id = $1"), values![payment.uuid()]).await
}

/// The payment of a challenge.
pub(super) async fn find_challenge(sql: &impl Sql, challenge: Uuid) -> Result<Option<Row>, DbError> {
    sql.one(&format!("SELECT {COLUMNS} FROM sandbox_payments WHERE challenge_id = $1"), values![challenge]).await
}

/// Payments whose time to confirm is over.
pub(super) async fn expired(sql: &impl Sql, now: Timestamp) -> Result<Vec<Row>, DbError> {
    sql.all(
        &format!(
            "SELECT {COLUMNS} FROM sandbox_payments WHERE status = 'action_required' AND challenge_expires_at <= $1 \
             ORDER BY challenge_expires_at LIMIT $2"
        ),
        values![now.micros(), SWEEP],
    )
    .await
}

/// Moves a payment on.
pub(super) async fn set_status(tx: &Tx, row: &Row) -> Result<(), DbError> {
    tx.exec(
        "UPDATE sandbox_payments SET status = $2, reason = $3, captured = $4 WHERE payment_id = $1",
        values![row.payment_id, row.status.clone(), row.reason.clone(), row.captured],
    )
    .await?;
    Ok(())
}

/// What was given back of a payment so far.
pub(super) async fn refunded(tx: &Tx, payment: Uuid) -> Result<i64, DbError> {
    let sum: Option<i64> = tx
        .scalar(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM sandbox_refunds WHERE payment_id = $1",
            values![payment],
        )
        .await?;
    Ok(sum.unwrap_or(0))
}

/// The amount and payment of a refund, if it was made.
pub(super) async fn find_refund(tx: &Tx, refund: Uuid) -> Result<Option<(Uuid, i64)>, DbError> {
    #[derive(FromRow)]
    struct Known {
        payment_id: Uuid,
        amount: i64,
    }
    let known: Option<Known> =
        tx.one("SELECT payment_id, amount FROM sandbox_refunds WHERE refund_id = $1", values![refund]).await?;
    Ok(known.map(|known| (known.payment_id, known.amount)))
}

/// Gives money back.
pub(super) async fn insert_refund(
    tx: &Tx,
    refund: Uuid,
    payment: Uuid,
    amount: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO sandbox_refunds (refund_id, payment_id, amount, created_at) VALUES ($1, $2, $3, $4)",
        values![refund, payment, amount, now.micros()],
    )
    .await?;
    Ok(())
}

/// A webhook that waits to be delivered.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Waiting {
    pub seq: i64,
    pub body: String,
    pub attempts: i64,
}

/// Puts a webhook into the queue.
pub(super) async fn insert_webhook(
    tx: &Tx,
    event: Uuid,
    payment: Uuid,
    body: &str,
    due_at: Timestamp,
) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO sandbox_webhooks (event_id, payment_id, body, status, attempts, due_at) \
         VALUES ($1, $2, $3, 'waiting', 0, $4)",
        values![event, payment, body, due_at.micros()],
    )
    .await?;
    Ok(())
}

/// Webhooks whose time has come.
pub(super) async fn due_webhooks(sql: &impl Sql, now: Timestamp) -> Result<Vec<Waiting>, DbError> {
    sql.all(
        "SELECT seq, body, attempts FROM sandbox_webhooks WHERE status = 'waiting' AND due_at <= $1 \
         ORDER BY due_at, seq LIMIT $2",
        values![now.micros(), SWEEP],
    )
    .await
}

/// Notes how a delivery went.
pub(super) async fn set_webhook(
    tx: &Tx,
    seq: i64,
    status: &str,
    attempts: i64,
    due_at: Timestamp,
) -> Result<(), DbError> {
    tx.exec(
        "UPDATE sandbox_webhooks SET status = $2, attempts = $3, due_at = $4 WHERE seq = $1",
        values![seq, status, attempts, due_at.micros()],
    )
    .await?;
    Ok(())
}

/// The value of a setting, which the first to ask decides.
pub(super) async fn setting(tx: &Tx, name: &str, initial: &str) -> Result<String, DbError> {
    tx.exec(
        "INSERT INTO sandbox_settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        values![name, initial],
    )
    .await?;
    let value: Option<String> = tx.scalar("SELECT value FROM sandbox_settings WHERE name = $1", values![name]).await?;
    value.ok_or_else(|| DbError::Corrupt(format!("the sandbox setting {name} is gone")))
}
