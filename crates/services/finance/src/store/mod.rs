//! Finance's own tables.

pub(crate) mod ledger;
pub(crate) mod order_facts;
pub(crate) mod payments;

use bookworm_db::{DbError, Migration, Sql, Tx, values};
use bookworm_kernel::{Currency, Money, Timestamp};

/// This service's migrations, after those of messaging.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration::new(
        "finance/0001_finance",
        "CREATE TABLE payments (
            id UUID NOT NULL PRIMARY KEY,
            order_id UUID NOT NULL UNIQUE,
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL,
            status TEXT NOT NULL,
            attempted BOOLEAN NOT NULL,
            capture_requested BOOLEAN NOT NULL,
            void_requested BOOLEAN NOT NULL,
            delivered BOOLEAN NOT NULL,
            captured BIGINT NOT NULL,
            refunded BIGINT NOT NULL,
            action_url TEXT,
            reason TEXT,
            provider TEXT NOT NULL,
            reference TEXT,
            cause TEXT NOT NULL,
            version BIGINT NOT NULL,
            is_open BOOLEAN NOT NULL,
            checks BIGINT NOT NULL,
            check_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE INDEX payments_open ON payments (check_at) WHERE is_open;
          CREATE INDEX payments_status ON payments (status, id);
          CREATE INDEX payments_updated ON payments (updated_at);
          CREATE TABLE refunds (
            id UUID NOT NULL PRIMARY KEY,
            payment_id UUID NOT NULL REFERENCES payments (id),
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            position BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE INDEX refunds_payment ON refunds (payment_id);
          CREATE TABLE ledger_transactions (
            id UUID NOT NULL PRIMARY KEY,
            kind TEXT NOT NULL,
            reference UUID NOT NULL,
            payment_id UUID NOT NULL,
            at BIGINT NOT NULL,
            UNIQUE (kind, reference)
          );
          CREATE INDEX ledger_transactions_payment ON ledger_transactions (payment_id);
          CREATE TABLE ledger_entries (
            transaction_id UUID NOT NULL REFERENCES ledger_transactions (id),
            position BIGINT NOT NULL,
            account TEXT NOT NULL,
            amount BIGINT NOT NULL,
            currency TEXT NOT NULL,
            PRIMARY KEY (transaction_id, position)
          );
          CREATE TABLE webhook_events (
            provider TEXT NOT NULL,
            event_id TEXT NOT NULL,
            received_at BIGINT NOT NULL,
            PRIMARY KEY (provider, event_id)
          );
          CREATE TABLE order_facts (
            order_id UUID NOT NULL PRIMARY KEY,
            status TEXT NOT NULL,
            rank BIGINT NOT NULL,
            total BIGINT NOT NULL,
            currency TEXT NOT NULL,
            confirmed BOOLEAN NOT NULL,
            refunded BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
          );
          CREATE INDEX order_facts_updated ON order_facts (updated_at);",
    ),
    Migration::new("finance/0002_references", "CREATE INDEX payments_reference ON payments (reference);"),
];

/// An amount as stored.
pub(crate) fn money(amount: i64, currency: &str) -> Result<Money, DbError> {
    let currency = Currency::parse(currency).map_err(|error| DbError::Corrupt(error.to_string()))?;
    Ok(Money::new(amount, currency))
}

/// Remembers a webhook's event. `false` when it came before.
pub(crate) async fn claim_event(tx: &Tx, provider: &str, event: &str, now: Timestamp) -> Result<bool, DbError> {
    let new = tx
        .exec(
            "INSERT INTO webhook_events (provider, event_id, received_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            values![provider, event, now.micros()],
        )
        .await?;
    Ok(new == 1)
}

/// Forgets events that came before `before`.
pub(crate) async fn prune_events(tx: &Tx, before: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM webhook_events WHERE received_at < $1", values![before.micros()]).await
}
