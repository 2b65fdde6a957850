//! What somebody is about to buy: their basket, at today's prices.

use std::sync::Arc;

use bookworm_contracts::grpc::basket::GetBasketResponse;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, Currency, ErrorCode, Money, Quantity};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{coupon::Goods, event::OrderLine},
    service::Ordering,
    shopper,
    shopper::Shopper,
};

/// A basket that is not empty and holds only books that are sold.
#[derive(Debug)]
pub(crate) struct Purchase {
    pub basket_id: Uuid,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    book_id: BookId,
    title: String,
    language: Option<String>,
    quantity: Quantity,
    unit_price: Money,
    /// What the customer saw last.
    seen_price: Money,
    available: i64,
    /// Names that coupons may be for.
    subjects: Vec<String>,
    authors: Vec<String>,
    publisher: Option<String>,
}

impl Purchase {
    /// Asks the basket and the catalogue.
    ///
    /// # Errors
    /// 409 `basket_empty`, 409 `book_unavailable` with the `book_ids` that are not sold any more, 503 `unavailable`.
    pub async fn of(service: &Arc<Ordering>, cause: &Cause, shopper: &Shopper) -> Result<Self> {
        let basket = service.clients.basket(cause, shopper).await?;
        Self::of_basket(service, cause, basket).await
    }

    /// As [`Purchase::of`], of a basket that was read already.
    pub async fn of_basket(service: &Arc<Ordering>, cause: &Cause, basket: GetBasketResponse) -> Result<Self> {
        if basket.lines.is_empty() {
            return Err(shopper::basket_empty());
        }
        let basket_id = basket.basket_id.parse().map_err(|error| contradiction("a basket without an id", &error))?;
        let mut wanted = Vec::with_capacity(basket.lines.len());
        for line in basket.lines {
            let book_id: BookId =
                line.book_id.parse().map_err(|error| contradiction("a line without a book", &error))?;
            let quantity = Quantity::new(i64::from(line.quantity))
                .map_err(|error| contradiction("a line without copies", &error))?;
            let seen =
                Currency::parse(&line.currency).map_err(|error| contradiction("a price in no currency", &error))?;
            wanted.push((book_id, quantity, Money::new(line.seen_price, seen)));
        }
        let ids: Vec<BookId> = wanted.iter().map(|(id, ..)| *id).collect();
        let mut books = service.clients.books(cause, &ids).await?;
        let gone: Vec<BookId> = ids.iter().copied().filter(|id| !books.contains_key(id)).collect();
        if !gone.is_empty() {
            return Err(Problem::new(ErrorCode::BookUnavailable)
                .detail("Take the books that are no longer sold out of the basket.")
                .with("book_ids", json!(gone)));
        }
        let mut lines = Vec::with_capacity(wanted.len());
        for (book_id, quantity, seen_price) in wanted {
            let Some(book) = books.remove(&book_id) else { continue };
            let currency =
                Currency::parse(&book.currency).map_err(|error| contradiction("a book in no currency", &error))?;
            lines.push(Line {
                book_id,
                title: book.title,
                language: Some(book.language).filter(|language| !language.is_empty()),
                quantity,
                unit_price: Money::new(book.price, currency),
                seen_price,
                available: book.available.max(0),
                subjects: book.subjects,
                authors: book.authors,
                publisher: Some(book.publisher).filter(|publisher| !publisher.is_empty()),
            });
        }
        Ok(Self { basket_id, lines })
    }

    /// Whether it can be bought as the customer saw it. Stock is only looked at here; the saga reserves it.
    ///
    /// # Errors
    /// 409 `insufficient_stock` or `price_changed`, each with the `lines` that are meant.
    pub fn check(&self) -> Result<()> {
        let short: Vec<Value> = self
            .lines
            .iter()
            .filter(|line| line.available < i64::from(line.quantity))
            .map(|line| short_line(line.book_id, &line.title, line.quantity.get(), line.available))
            .collect();
        if !short.is_empty() {
            return Err(insufficient_stock(short));
        }
        let changed: Vec<Value> = self
            .lines
            .iter()
            .filter(|line| line.unit_price != line.seen_price)
            .map(|line| json!({ "book_id": line.book_id, "title": line.title, "old": line.seen_price, "new": line.unit_price }))
            .collect();
        if !changed.is_empty() {
            return Err(Problem::new(ErrorCode::PriceChanged)
                .detail("Look at the basket again: it shows the new price.")
                .with("lines", changed));
        }
        Ok(())
    }

    /// Price and copies of each line.
    pub fn prices(&self) -> impl Iterator<Item = (Money, Quantity)> {
        self.lines.iter().map(|line| (line.unit_price, line.quantity))
    }

    /// The lines as coupons look at them.
    ///
    /// # Errors
    /// When a line's total does not fit.
    pub fn goods(&self) -> Result<Vec<Goods>> {
        let goods = |line: &Line| {
            Ok(Goods {
                book_id: line.book_id,
                subjects: line.subjects.clone(),
                authors: line.authors.clone(),
                publisher: line.publisher.clone().into_iter().collect(),
                total: line.unit_price.times(line.quantity.get()).map_err(|error| Problem::internal(&error))?,
            })
        };
        self.lines.iter().map(goods).collect()
    }

    /// The lines as an order keeps them, each with its part of what a coupon takes off, if one does.
    ///
    /// # Errors
    /// When a line's total does not fit.
    pub fn into_lines(self, discounts: Option<Vec<Money>>) -> Result<Vec<OrderLine>> {
        let parts = discounts.into_iter().flatten().map(Some).chain(std::iter::repeat(None));
        self.lines
            .into_iter()
            .zip(parts)
            .map(|(line, discount)| {
                let line_total =
                    line.unit_price.times(line.quantity.get()).map_err(|error| Problem::internal(&error))?;
                Ok(OrderLine {
                    book_id: line.book_id,
                    title: line.title,
                    language: line.language,
                    quantity: line.quantity,
                    unit_price: line.unit_price,
                    line_total,
                    discount,
                })
            })
            .collect()
    }
}

/// 409 with the lines of which there are not enough.
pub(crate) fn insufficient_stock(lines: Vec<Value>) -> Problem {
    Problem::new(ErrorCode::InsufficientStock)
        .detail("There are fewer copies than you want. Lower the quantity, or take the book out of the basket.")
        .with("lines", lines)
}

/// A line of [`insufficient_stock`].
pub(crate) fn short_line(book_id: BookId, title: &str, wanted: u32, available: i64) -> Value {
    json!({ "book_id": book_id, "title": title, "wanted": wanted, "available": available })
}

/// Another service says something that its contract rules out.
pub(crate) fn contradiction(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(what, "another service broke its contract");
    Problem::internal(error)
}
