//! Ordering's own tables. Events, sagas, messages and idempotency keys have theirs, from the platform.

pub(crate) mod orders;
pub(crate) mod secrets;

use bookworm_db::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "ordering/0001_orders",
    sql: "CREATE TABLE orders (
            id UUID NOT NULL PRIMARY KEY,
            number TEXT NOT NULL UNIQUE,
            customer_id UUID,
            email_key TEXT NOT NULL,
            status TEXT NOT NULL,
            placed_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            total BIGINT NOT NULL,
            currency TEXT NOT NULL,
            version BIGINT NOT NULL,
            document TEXT NOT NULL
          );
          CREATE INDEX orders_placed ON orders (placed_at, id);
          CREATE INDEX orders_customer ON orders (customer_id, placed_at, id);
          CREATE INDEX orders_email ON orders (email_key);
          CREATE TABLE secrets (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
          );",
}];
