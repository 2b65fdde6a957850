//! The projection: one row for each order, equal at any time to what its events say.

use bookworm_db::{DbError, FromRow, Sql, Tx, Value, values};
use bookworm_eventstore::Loaded;
use bookworm_kernel::{CustomerId, OrderId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::document::Document;
use crate::domain::{
    order::Order,
    search_key::{self, Range},
    status::OrderStatus,
};

const COLUMNS: &str =
    "id, number, customer_id, email_key, status, placed_at, updated_at, total, currency, version, document";

/// A row of the projection.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Row {
    pub id: Uuid,
    number: String,
    customer_id: Option<Uuid>,
    email_key: String,
    status: String,
    placed_at: i64,
    updated_at: i64,
    total: i64,
    currency: String,
    pub version: i64,
    document: String,
}

impl Row {
    #[cfg(test)]
    pub fn document(&self) -> &str {
        &self.document
    }

    /// What the row of an order must be. `document` is that order's own.
    ///
    /// # Errors
    /// When the order was never placed.
    pub fn of(order: &Loaded<Order>, document: &Document) -> Result<Self, DbError> {
        let placed = order
            .state
            .placement()
            .ok_or_else(|| DbError::Corrupt("an order whose first event is not OrderCreated".to_owned()))?;
        Ok(Self {
            id: placed.order_id.uuid(),
            number: placed.number.to_string(),
            customer_id: placed.customer_id.map(CustomerId::uuid),
            email_key: placed.email.key(),
            status: order.state.status().as_str().to_owned(),
            placed_at: placed.placed_at.micros(),
            updated_at: order.state.updated_at().micros(),
            total: placed.total.amount,
            currency: placed.total.currency.code().to_owned(),
            version: order.version.cast_signed(),
            document: serde_json::to_string(document).map_err(|error| DbError::Corrupt(error.to_string()))?,
        })
    }
}

/// Adds a row and its keys; `false` when its number is taken.
pub(crate) async fn insert(tx: &Tx, row: Row) -> Result<bool, DbError> {
    let sql = format!(
        "INSERT INTO orders ({COLUMNS}, keyed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, TRUE) \
         ON CONFLICT (number) DO NOTHING"
    );
    let (id, document) = (row.id, parse(&row.document)?);
    let written = tx
        .exec(
            &sql,
            values![
                row.id,
                row.number,
                row.customer_id,
                row.email_key,
                row.status,
                row.placed_at,
                row.updated_at,
                row.total,
                row.currency,
                row.version,
                row.document
            ],
        )
        .await?;
    if written == 1 {
        insert_keys(tx, id, &document).await?;
    }
    Ok(written == 1)
}

async fn insert_keys(tx: &Tx, id: Uuid, order: &Document) -> Result<(), DbError> {
    for key in search_key::keys(&order.number, &order.email, &order.shipping_address.name) {
        tx.exec(
            "INSERT INTO order_keys (search_key, order_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            values![key, id],
        )
        .await?;
    }
    Ok(())
}

/// Writes the keys of at most `limit` orders that have none. How many had none.
pub(crate) async fn write_missing_keys(tx: &Tx, limit: i64) -> Result<usize, DbError> {
    #[derive(FromRow)]
    struct Unkeyed {
        id: Uuid,
        document: String,
    }
    let sql = format!("SELECT id, document FROM orders WHERE keyed = FALSE ORDER BY id LIMIT $1{}", tx.for_update());
    let rows: Vec<Unkeyed> = tx.all(&sql, values![limit]).await?;
    for row in &rows {
        insert_keys(tx, row.id, &parse(&row.document)?).await?;
        tx.exec("UPDATE orders SET keyed = TRUE WHERE id = $1", values![row.id]).await?;
    }
    Ok(rows.len())
}

/// Brings a row up to date. What was fixed when the order was placed stays.
pub(crate) async fn update(tx: &Tx, row: Row) -> Result<(), DbError> {
    tx.exec(
        "UPDATE orders SET status = $2, updated_at = $3, version = $4, document = $5 WHERE id = $1",
        values![row.id, row.status, row.updated_at, row.version, row.document],
    )
    .await?;
    Ok(())
}

/// Replaces a row, or adds it where there is none.
pub(crate) async fn replace(tx: &Tx, row: Row) -> Result<(), DbError> {
    remove(tx, row.id).await?;
    if insert(tx, row).await? { Ok(()) } else { Err(DbError::Corrupt("two orders have one number".to_owned())) }
}

/// Deletes a row.
pub(crate) async fn remove(tx: &Tx, id: Uuid) -> Result<(), DbError> {
    tx.exec("DELETE FROM order_keys WHERE order_id = $1", values![id]).await?;
    tx.exec("DELETE FROM orders WHERE id = $1", values![id]).await?;
    Ok(())
}

/// A whole row.
pub(crate) async fn row(conn: &impl Sql, id: Uuid) -> Result<Option<Row>, DbError> {
    conn.one(&format!("SELECT {COLUMNS} FROM orders WHERE id = $1"), values![id]).await
}

/// The ids of rows without events, at most 1000.
pub(crate) async fn orphans(conn: &impl Sql) -> Result<Vec<Uuid>, DbError> {
    #[derive(FromRow)]
    struct Id {
        id: Uuid,
    }
    let ids: Vec<Id> = conn
        .all(
            "SELECT id FROM orders WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream_id = orders.id) LIMIT 1000",
            [],
        )
        .await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

/// A stored order, and whose it is.
#[derive(Debug, FromRow)]
pub(crate) struct StoredOrder {
    pub customer_id: Option<Uuid>,
    document: String,
}

impl StoredOrder {
    /// The order, without what may be done with it.
    pub fn document(&self) -> Result<Document, DbError> {
        parse(&self.document)
    }
}

pub(super) fn parse(document: &str) -> Result<Document, DbError> {
    serde_json::from_str(document).map_err(|error| DbError::Corrupt(format!("an order's document: {error}")))
}

/// Looks an order up.
pub(crate) async fn find(conn: &impl Sql, id: OrderId) -> Result<Option<StoredOrder>, DbError> {
    conn.one("SELECT customer_id, document FROM orders WHERE id = $1", values![id.uuid()]).await
}

/// An order, without what may be done with it.
pub(crate) async fn document(conn: &impl Sql, id: OrderId) -> Result<Option<Document>, DbError> {
    find(conn, id).await?.map(|found| found.document()).transpose()
}

/// Where a page of the list begins: after this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    pub placed_at: i64,
    pub id: Uuid,
}

/// Which orders are listed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Only those of this customer.
    pub customer_id: Option<CustomerId>,
    /// Only those in this state.
    pub status: Option<OrderStatus>,
    /// Only those whose number, email address or words of the name begin so.
    pub search: Option<String>,
    /// In which order.
    pub oldest_first: bool,
}

/// Orders, newest first unless the filter says otherwise, at most `limit`.
pub(crate) async fn list(
    conn: &impl Sql,
    filter: &Filter,
    after: Option<After>,
    limit: usize,
) -> Result<Vec<Document>, DbError> {
    #[derive(FromRow)]
    struct Text {
        document: String,
    }
    let (sql, values) = listing(filter, after, limit);
    let rows: Vec<Text> = conn.all(&sql, values).await?;
    rows.iter().map(|row| parse(&row.document)).collect()
}

/// The question for them.
fn listing(filter: &Filter, after: Option<After>, limit: usize) -> (String, Vec<Value>) {
    let (past, direction) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
    let mut conditions: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        values.len()
    };
    if let Some(customer) = filter.customer_id {
        conditions.push(format!("customer_id = ${}", bind(customer.uuid().into())));
    }
    if let Some(status) = filter.status {
        conditions.push(format!("status = ${}", bind(status.as_str().into())));
    }
    if let Some(search) = &filter.search {
        let wanted = search_key::wanted(search);
        let mut has_key = |Range(from, to): Range| {
            let (from, to) = (bind(from.into()), bind(to.into()));
            format!("id IN (SELECT order_id FROM order_keys WHERE search_key >= ${from} AND search_key < ${to})")
        };
        let number = wanted.number.map(&mut has_key).map(|number| format!(" OR {number}")).unwrap_or_default();
        let words: Vec<String> = wanted.words.into_iter().map(has_key).collect();
        conditions.push(format!("(({}){number})", words.join(" AND ")));
    }
    if let Some(After { placed_at, id }) = after {
        let (placed_at, id) = (bind(placed_at.into()), bind(id.into()));
        // As a row, so that an index finds the place: with OR the page after 50,000 orders reads all of them.
        conditions.push(format!("(placed_at, id) {past} (${placed_at}, ${id})"));
    }
    let limit = bind(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let condition = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let sql = format!(
        "SELECT document FROM orders {condition} ORDER BY placed_at {direction}, id {direction} LIMIT ${limit}"
    );
    (sql, values)
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::Timestamp;
    use bookworm_testing::TestDatabases;

    use super::*;
    use crate::store::MIGRATIONS;

    #[tokio::test]
    async fn no_list_of_staff_reads_orders_that_it_does_not_show() {
        #[derive(FromRow)]
        struct Step {
            detail: String,
        }
        let home = TestDatabases::sqlite();
        let db = home.databases.open("ordering").await.unwrap();
        db.migrate(&[bookworm_eventstore::MIGRATIONS, MIGRATIONS].concat(), Timestamp::from_micros(0)).await.unwrap();
        let after = After { placed_at: 1, id: Uuid::nil() };
        for oldest_first in [false, true] {
            for (status, customer_id, index) in [
                (None, None, "orders_placed"),
                (Some(OrderStatus::Confirmed), None, "orders_status"),
                (None, Some(CustomerId::new()), "orders_customer"),
            ] {
                for after in [None, Some(after)] {
                    let filter = Filter { customer_id, status, search: None, oldest_first };
                    let (sql, values) = listing(&filter, after, 20);
                    let plan: Vec<Step> = db.read().all(&format!("EXPLAIN QUERY PLAN {sql}"), values).await.unwrap();
                    let plan: String = plan.into_iter().map(|step| step.detail + "\n").collect();
                    assert!(plan.contains(&format!("USING INDEX {index}")), "{sql}: {plan}");
                    assert!(!plan.contains("TEMP B-TREE"), "{sql} sorts: {plan}");
                    let finds_the_place = plan.contains("(placed_at,id)") || plan.contains("placed_at");
                    assert_eq!(finds_the_place, after.is_some(), "{sql}: {plan}");
                }
            }
        }
        db.close().await;
        home.clean().await;
    }
}
