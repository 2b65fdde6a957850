//! Copies: in the house, held for orders. Every change is one conditional statement, so that no two sales can take the
//! same copy, whatever runs side by side.

use std::collections::BTreeMap;

use bookworm_contracts::{commands::StockLine, events::catalog::ShortLine, rest::catalog::Stock};
use bookworm_db::{DbError, FromQueryResult, Result, Sql, Tx, values};
use bookworm_kernel::{BookId, CustomerId, OrderId, Timestamp};
use uuid::Uuid;

use crate::domain::draft::COPIES;

#[derive(Debug, Clone, Copy, FromQueryResult)]
pub(crate) struct StockRow {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

impl From<StockRow> for Stock {
    fn from(row: StockRow) -> Self {
        Self { on_hand: row.on_hand, reserved: row.reserved, available: row.on_hand - row.reserved }
    }
}

/// The stock of a book that is on sale.
pub(crate) async fn of(db: &impl Sql, id: BookId) -> Result<Option<StockRow>> {
    db.one(
        "SELECT s.on_hand, s.reserved FROM stock s JOIN books b ON b.id = s.book_id \
         WHERE s.book_id = $1 AND b.deleted = FALSE",
        values![id.uuid()],
    )
    .await
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All copies are held.
    Held,
    /// None is. The lines that were short; none when the order had given its copies back before.
    Refused(Vec<ShortLine>),
}

#[derive(FromQueryResult)]
struct Reservation {
    status: String,
    short: String,
}

/// Holds copies for an order, all lines or none. The order is the key: a repeat is answered like the first, also after
/// a [`release`] that overtook it.
pub(crate) async fn reserve(tx: &Tx, order: OrderId, lines: &[StockLine], now: Timestamp) -> Result<Outcome> {
    if !begin(tx, order, "held", now).await? {
        let known: Option<Reservation> =
            tx.one("SELECT status, short FROM reservations WHERE order_id = $1", values![order.uuid()]).await?;
        let known = known.ok_or_else(|| DbError::Corrupt(format!("reservation {order} vanished")))?;
        return match known.status.as_str() {
            "released" => Ok(Outcome::Refused(
                serde_json::from_str(&known.short)
                    .map_err(|_| DbError::Corrupt(format!("short lines of reservation {order}")))?,
            )),
            _ => Ok(Outcome::Held),
        };
    }
    // Everybody takes books in the order of their ids: on PostgreSQL two orders can wait for each other only one way.
    let mut wanted: BTreeMap<BookId, i64> = BTreeMap::new();
    for line in lines {
        *wanted.entry(line.book_id).or_default() += i64::from(line.quantity.get());
    }
    let (mut held, mut short) = (Vec::new(), Vec::new());
    for (&book, &quantity) in &wanted {
        let taken = tx
            .exec(
                "UPDATE stock SET reserved = reserved + $1 WHERE book_id = $2 AND on_hand - reserved >= $1 \
                 AND EXISTS (SELECT 1 FROM books b WHERE b.id = stock.book_id AND b.deleted = FALSE)",
                values![quantity, book.uuid()],
            )
            .await?;
        if taken == 1 {
            held.push((book, quantity));
        } else {
            let available = of(tx, book).await?.map_or(0, |stock| stock.on_hand - stock.reserved);
            let pieces = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
            short.push(ShortLine { book_id: book, wanted: pieces(quantity), available: pieces(available) });
        }
    }
    if short.is_empty() {
        for (book, quantity) in held {
            tx.exec(
                "INSERT INTO reservation_lines (order_id, book_id, quantity) VALUES ($1, $2, $3)",
                values![order.uuid(), book.uuid(), quantity],
            )
            .await?;
        }
        return Ok(Outcome::Held);
    }
    for (book, quantity) in held {
        tx.exec("UPDATE stock SET reserved = reserved - $1 WHERE book_id = $2", values![quantity, book.uuid()]).await?;
    }
    let text = serde_json::to_string(&short).map_err(|error| DbError::Corrupt(error.to_string()))?;
    tx.exec("UPDATE reservations SET status = 'released', short = $1 WHERE order_id = $2", values![text, order.uuid()])
        .await?;
    Ok(Outcome::Refused(short))
}

/// Notes the reservation; `false` when the order has one.
async fn begin(tx: &Tx, order: OrderId, status: &str, now: Timestamp) -> Result<bool> {
    let new = tx
        .exec(
            "INSERT INTO reservations (order_id, status, short, created_at, updated_at) VALUES ($1, $2, '[]', $3, $3) \
             ON CONFLICT (order_id) DO NOTHING",
            values![order.uuid(), status, now.micros()],
        )
        .await?;
    Ok(new == 1)
}

async fn turn(tx: &Tx, order: OrderId, status: &str, now: Timestamp) -> Result<bool> {
    let turned = tx
        .exec(
            "UPDATE reservations SET status = $1, updated_at = $2 WHERE order_id = $3 AND status = 'held'",
            values![status, now.micros(), order.uuid()],
        )
        .await?;
    Ok(turned == 1)
}

#[derive(Debug, FromQueryResult)]
struct LineRow {
    book_id: Uuid,
    quantity: i64,
}

async fn lines(tx: &Tx, order: OrderId) -> Result<Vec<LineRow>> {
    tx.all(
        "SELECT book_id, quantity FROM reservation_lines WHERE order_id = $1 ORDER BY book_id",
        values![order.uuid()],
    )
    .await
}

/// Gives back what an order holds, or notes that it may not hold anything any more. Returns the books whose stock
/// changed. What left the house with a completed order stays gone.
pub(crate) async fn release(tx: &Tx, order: OrderId, now: Timestamp) -> Result<Vec<BookId>> {
    if begin(tx, order, "released", now).await? || !turn(tx, order, "released", now).await? {
        return Ok(Vec::new());
    }
    let mut books = Vec::new();
    for line in lines(tx, order).await? {
        tx.exec("UPDATE stock SET reserved = reserved - $1 WHERE book_id = $2", values![line.quantity, line.book_id])
            .await?;
        books.push(BookId::from_uuid(line.book_id));
    }
    Ok(books)
}

/// What became of a commit.
#[derive(Debug)]
pub(crate) enum Committed {
    /// These books left the house; with what is left of each.
    Now(Vec<(BookId, StockRow)>),
    /// They had left before.
    Before,
    /// The order holds nothing.
    NotHeld,
}

/// The copies that an order holds leave the house.
pub(crate) async fn commit(tx: &Tx, order: OrderId, now: Timestamp) -> Result<Committed> {
    if !turn(tx, order, "committed", now).await? {
        let known: Option<Reservation> =
            tx.one("SELECT status, short FROM reservations WHERE order_id = $1", values![order.uuid()]).await?;
        return Ok(if known.is_some_and(|r| r.status == "committed") { Committed::Before } else { Committed::NotHeld });
    }
    let mut left = Vec::new();
    for line in lines(tx, order).await? {
        let stock: Option<StockRow> = tx
            .one(
                "UPDATE stock SET on_hand = on_hand - $1, reserved = reserved - $1 WHERE book_id = $2 \
                 RETURNING on_hand, reserved",
                values![line.quantity, line.book_id],
            )
            .await?;
        let stock = stock.ok_or_else(|| DbError::Corrupt(format!("stock of book {} vanished", line.book_id)))?;
        left.push((BookId::from_uuid(line.book_id), stock));
    }
    Ok(Committed::Now(left))
}

/// Adds or takes copies, unless more would go than are free or more would be there than fit. `None` when it was not
/// possible.
pub(crate) async fn adjust(tx: &Tx, book: BookId, delta: i64) -> Result<Option<StockRow>> {
    tx.one(
        "UPDATE stock SET on_hand = on_hand + $1 WHERE book_id = $2 AND on_hand + $1 >= reserved AND on_hand + $1 <= $3 \
         RETURNING on_hand, reserved",
        values![delta, book.uuid(), COPIES],
    )
    .await
}

/// What staff did to the stock, and what it was afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Adjustment {
    pub(crate) id: Uuid,
    pub(crate) book: BookId,
    pub(crate) delta: i64,
    pub(crate) reason: String,
    pub(crate) by: CustomerId,
    pub(crate) after: StockRow,
    pub(crate) at: Timestamp,
}

pub(crate) async fn record(tx: &Tx, adjustment: &Adjustment) -> Result<()> {
    tx.exec(
        "INSERT INTO stock_adjustments (id, book_id, delta, reason, adjusted_by, on_hand, reserved, adjusted_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        values![
            adjustment.id,
            adjustment.book.uuid(),
            adjustment.delta,
            adjustment.reason.as_str(),
            adjustment.by.uuid(),
            adjustment.after.on_hand,
            adjustment.after.reserved,
            adjustment.at.micros(),
        ],
    )
    .await?;
    Ok(())
}

/// The stock after an adjustment that was made before.
pub(crate) async fn recorded(tx: &Tx, id: Uuid) -> Result<Option<StockRow>> {
    tx.one("SELECT on_hand, reserved FROM stock_adjustments WHERE id = $1", values![id]).await
}
