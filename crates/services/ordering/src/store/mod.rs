//! Ordering's own tables. Events, sagas, messages and idempotency keys have theirs, from the platform.

pub(crate) mod coupons;
pub(crate) mod document;
pub(crate) mod order_ids;
pub(crate) mod orders;
pub(crate) mod secrets;

use bookworm_db::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[ORDERS, ORDER_IDS, ORDER_KEYS, ORDERS_BY_STATUS, COUPONS];

const ORDERS: Migration = Migration::new(
    "ordering/0001_orders",
    "CREATE TABLE orders (
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
);

const ORDER_IDS: Migration = Migration::new(
    "ordering/0002_order_ids",
    "CREATE TABLE order_ids (
            id UUID NOT NULL PRIMARY KEY,
            tombstone BOOLEAN NOT NULL,
            taken_at BIGINT NOT NULL
          );
          CREATE INDEX order_ids_taken_at ON order_ids (taken_at);",
);

/// `keyed` says whether the keys of an order are written. Orders of the release before have none until
/// `features/key_orders.rs` has written them.
const ORDER_KEYS: Migration = Migration::new(
    "ordering/0003_order_keys",
    "CREATE TABLE order_keys (
            search_key TEXT NOT NULL,
            order_id UUID NOT NULL,
            PRIMARY KEY (search_key, order_id)
          );
          CREATE INDEX order_keys_order ON order_keys (order_id);
          ALTER TABLE orders ADD COLUMN keyed BOOLEAN NOT NULL DEFAULT FALSE;
          CREATE INDEX orders_without_keys ON orders (id) WHERE keyed = FALSE;",
);

/// For lists of staff, who ask for the orders to pack among all that there ever were.
const ORDERS_BY_STATUS: Migration =
    Migration::new("ordering/0004_orders_by_status", "CREATE INDEX orders_status ON orders (status, placed_at, id);");

/// `coupons.uses` and `coupon_redeemers.uses` count the orders that use a coupon and were neither rejected nor cancelled;
/// `coupon_uses.returned_at` says that one was. A redeemer is `account` and its id, or `mailbox` and a fingerprint.
const COUPONS: Migration = Migration::new(
    "ordering/0005_coupons",
    "CREATE TABLE coupons (
            code TEXT NOT NULL PRIMARY KEY,
            coupon TEXT NOT NULL,
            max_uses BIGINT,
            per_customer BIGINT,
            uses BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            created_by TEXT NOT NULL,
            stopped_at BIGINT,
            stopped_by TEXT
          );
          CREATE INDEX coupons_created ON coupons (created_at, code);
          CREATE TABLE coupon_redeemers (
            code TEXT NOT NULL,
            redeemer TEXT NOT NULL,
            uses BIGINT NOT NULL,
            PRIMARY KEY (code, redeemer)
          );
          CREATE TABLE coupon_uses (
            order_id UUID NOT NULL PRIMARY KEY,
            code TEXT NOT NULL,
            account UUID,
            mailbox TEXT,
            at BIGINT NOT NULL,
            returned_at BIGINT
          );
          CREATE INDEX coupon_uses_by_code ON coupon_uses (code, at, order_id);",
);

#[cfg(test)]
mod golden;
