//! Copies: in the house, reserved for orders. Every change is one conditional statement, so that no two sales can take the
//! same copy, whatever runs side by side.

use std::collections::BTreeMap;

use bookworm_contracts::{commands::StockLine, events::catalog::ShortLine, rest::catalog::Stock};
use bookworm_db::{DbError, FromRow, Result, Sql, Tx, values};
use bookworm_kernel::{BookId, CustomerId, OrderId, Timestamp};
use uuid::Uuid;

use super::stored::Short;
use crate::domain::draft::COPIES;

#[derive(Debug, Clone, Copy, FromRow)]
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

impl From<Short> for ShortLine {
    fn from(Short { book_id, wanted, available }: Short) -> Self {
        Self { book_id, wanted, available }
    }
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All copies are reserved, by this call or an earlier one. The books of which none is left to sell since this call.
    Reserved(Vec<BookId>),
    /// None is. The lines that were short; none when the order had given its copies back before.
    Refused(Vec<ShortLine>),
}

#[derive(FromRow)]
struct Reservation {
    status: String,
    short: String,
}

/// Reserves copies for an order, all lines or none. The order is the key: a repeat is answered like the first, also after
/// a [`release`] that overtook it.
pub(crate) async fn reserve(tx: &Tx, order: OrderId, lines: &[StockLine], now: Timestamp) -> Result<Outcome> {
    if !begin(tx, order, "held", now).await? {
        let known: Option<Reservation> =
            tx.one("SELECT status, short FROM reservations WHERE order_id = $1", values![order.uuid()]).await?;
        let known = known.ok_or_else(|| DbError::Corrupt(format!("reservation {order} vanished")))?;
        return match known.status.as_str() {
            "released" => Ok(Outcome::Refused(
                serde_json::from_str::<Vec<Short>>(&known.short)
                    .map_err(|_| DbError::Corrupt(format!("short lines of reservation {order}")))?
                    .into_iter()
                    .map(ShortLine::from)
                    .collect(),
            )),
            _ => Ok(Outcome::Reserved(Vec::new())),
        };
    }
    // Everybody takes books in the order of their ids: on PostgreSQL two orders can wait for each other only one way.
    let mut wanted: BTreeMap<BookId, i64> = BTreeMap::new();
    for line in lines {
        *wanted.entry(line.book_id).or_default() += i64::from(line.quantity.get());
    }
    let (mut reserved, mut short, mut sold_out) = (Vec::new(), Vec::new(), Vec::new());
    for (&book, &quantity) in &wanted {
        let taken: Option<StockRow> = tx
            .one(
                "UPDATE stock SET reserved = reserved + $1 WHERE book_id = $2 AND on_hand - reserved >= $1 \
                 AND EXISTS (SELECT 1 FROM books b WHERE b.id = stock.book_id AND b.deleted = FALSE) \
                 RETURNING on_hand, reserved",
                values![quantity, book.uuid()],
            )
            .await?;
        if let Some(left) = taken {
            reserved.push((book, quantity));
            if left.on_hand == left.reserved {
                sold_out.push(book);
            }
        } else {
            let available = of(tx, book).await?.map_or(0, |stock| stock.on_hand - stock.reserved);
            let pieces = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
            short.push(Short { book_id: book, wanted: pieces(quantity), available: pieces(available) });
        }
    }
    if short.is_empty() {
        for (book, quantity) in reserved {
            tx.exec(
                "INSERT INTO reservation_lines (order_id, book_id, quantity) VALUES ($1, $2, $3)",
                values![order.uuid(), book.uuid(), quantity],
            )
            .await?;
        }
        return Ok(Outcome::Reserved(sold_out));
    }
    for (book, quantity) in reserved {
        tx.exec("UPDATE stock SET reserved = reserved - $1 WHERE book_id = $2", values![quantity, book.uuid()]).await?;
    }
    let text = serde_json::to_string(&short).map_err(|error| DbError::Corrupt(error.to_string()))?;
    tx.exec("UPDATE reservations SET status = 'released', short = $1 WHERE order_id = $2", values![text, order.uuid()])
        .await?;
    Ok(Outcome::Refused(short.into_iter().map(ShortLine::from).collect()))
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

#[derive(Debug, FromRow)]
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

/// What came back with a release.
#[derive(Debug, Default)]
pub(crate) struct Released {
    /// The books whose stock changed.
    pub(crate) books: Vec<BookId>,
    /// Of these, those of which none could be bought before.
    pub(crate) back: Vec<BookId>,
}

/// Gives back what an order holds, or notes that it may not hold anything any more. What left the house with a
/// completed order stays gone.
pub(crate) async fn release(tx: &Tx, order: OrderId, now: Timestamp) -> Result<Released> {
    let mut released = Released::default();
    if begin(tx, order, "released", now).await? || !turn(tx, order, "released", now).await? {
        return Ok(released);
    }
    for line in lines(tx, order).await? {
        let stock: Option<StockRow> = tx
            .one(
                "UPDATE stock SET reserved = reserved - $1 WHERE book_id = $2 RETURNING on_hand, reserved",
                values![line.quantity, line.book_id],
            )
            .await?;
        let book = BookId::from_uuid(line.book_id);
        released.books.push(book);
        if stock.is_some_and(|stock| stock.on_hand - stock.reserved == line.quantity) {
            released.back.push(book);
        }
    }
    Ok(released)
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bookworm_db::{Databases, Db};
    use bookworm_kernel::{Clock, Currency, Quantity, SystemClock};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        domain::{Draft, Rating},
        store::books::{self, Names, Placed},
    };

    #[derive(Debug, Clone)]
    enum Step {
        /// Order, and copies of each of three books (0: not on the order).
        Reserve(usize, [u8; 3]),
        Release(usize),
        Commit(usize),
        /// Book, copies.
        Adjust(usize, i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..5_usize, [0..5_u8, 0..5_u8, 0..5_u8]).prop_map(|(order, lines)| Step::Reserve(order, lines)),
            1 => (0..5_usize).prop_map(Step::Release),
            1 => (0..5_usize).prop_map(Step::Commit),
            1 => (0..3_usize, -6..6_i64).prop_map(|(book, delta)| Step::Adjust(book, delta)),
        ];
        prop::collection::vec(step, 1..40)
    }

    /// What the rules say, in memory.
    #[derive(Default)]
    struct Model {
        on_hand: [i64; 3],
        reserved: [i64; 3],
        orders: HashMap<usize, (&'static str, [i64; 3])>,
        came: i64,
        sold: i64,
    }

    impl Model {
        fn reserve(&mut self, order: usize, wanted: [i64; 3]) -> bool {
            if let Some((status, _)) = self.orders.get(&order) {
                return *status != "released";
            }
            let fits = (0..3).all(|b| self.on_hand[b] - self.reserved[b] >= wanted[b]);
            if fits {
                (0..3).for_each(|b| self.reserved[b] += wanted[b]);
            }
            self.orders.insert(order, (if fits { "held" } else { "released" }, wanted));
            fits
        }

        fn release(&mut self, order: usize) {
            let (status, wanted) = self.orders.entry(order).or_insert(("released", [0; 3]));
            if *status == "held" {
                *status = "released";
                (0..3).for_each(|b| self.reserved[b] -= wanted[b]);
            }
        }

        fn commit(&mut self, order: usize) {
            if let Some((status, wanted)) = self.orders.get_mut(&order)
                && *status == "held"
            {
                *status = "committed";
                for (b, copies) in wanted.iter().enumerate() {
                    self.reserved[b] -= copies;
                    self.on_hand[b] -= copies;
                    self.sold += copies;
                }
            }
        }

        fn adjust(&mut self, book: usize, delta: i64) -> bool {
            let fits = self.on_hand[book] + delta >= self.reserved[book];
            if fits {
                self.on_hand[book] += delta;
                self.came += delta;
            }
            fits
        }
    }

    async fn three_books(db: &Db) -> Vec<BookId> {
        db.transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                let mut ids = Vec::new();
                for n in 0..3 {
                    let draft = Draft { title: format!("Book {n}"), for_sale: true, ..Draft::default() };
                    let placed = Placed::new(BookId::new(), 1, draft, Rating::default(), &[&Names::default()])?;
                    ids.push(placed.id);
                    books::create(tx, &[(placed, 0)], Currency::USD, Timestamp::default()).await?;
                }
                Ok(ids)
            })
        })
        .await
        .unwrap()
    }

    async fn follow(db: &Db, steps: Vec<Step>) {
        let (books, mut model) = (three_books(db).await, Model::default());
        let orders: Vec<OrderId> = (0..5).map(|_| OrderId::new()).collect();
        let now = Timestamp::from_micros(1);
        for step in steps {
            match step {
                Step::Reserve(n, wanted) => {
                    let lines: Vec<StockLine> = books
                        .iter()
                        .zip(wanted)
                        .filter_map(|(book, n)| {
                            Some(StockLine { book_id: *book, quantity: Quantity::new(n.into()).ok()? })
                        })
                        .collect();
                    let order = orders[n];
                    let work = db.transact::<_, DbError, _>(move |tx| {
                        Box::pin(async move { reserve(tx, order, &lines, now).await })
                    });
                    let reserved = matches!(work.await.unwrap(), Outcome::Reserved(_));
                    assert_eq!(reserved, model.reserve(n, wanted.map(i64::from)));
                }
                Step::Release(n) => {
                    let order = orders[n];
                    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { release(tx, order, now).await }))
                        .await
                        .unwrap();
                    model.release(n);
                }
                Step::Commit(n) => {
                    let order = orders[n];
                    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { commit(tx, order, now).await }))
                        .await
                        .unwrap();
                    model.commit(n);
                }
                Step::Adjust(b, delta) => {
                    let book = books[b];
                    let work =
                        db.transact::<_, DbError, _>(move |tx| Box::pin(async move { adjust(tx, book, delta).await }));
                    assert_eq!(work.await.unwrap().is_some(), model.adjust(b, delta));
                }
            }
            for (b, book) in books.iter().enumerate() {
                let stock = of(db.read(), *book).await.unwrap().unwrap();
                assert!(0 <= stock.reserved && stock.reserved <= stock.on_hand, "{stock:?}");
                assert_eq!((stock.on_hand, stock.reserved), (model.on_hand[b], model.reserved[b]));
            }
            // No copy appears or vanishes: what came is in the house or sold.
            assert_eq!(model.came, model.on_hand.iter().sum::<i64>() + model.sold);
        }
    }

    /// Whatever happens in whatever order, the stock is what the rules say, and never negative.
    #[test]
    fn any_sequence_keeps_the_stock_true() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let db = runtime.block_on(async {
            let db = Databases::Sqlite(folder.path().to_owned()).open("catalog").await.unwrap();
            crate::store::migrate(&db, SystemClock.now()).await.unwrap();
            db
        });
        let mut runner =
            proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
        runner
            .run(&steps(), |steps| {
                runtime.block_on(follow(&db, steps));
                Ok(())
            })
            .unwrap();
    }
}
