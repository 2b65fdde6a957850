//! Stock: what is in the house, held and for sale.

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::catalog::{Book, Stock, StockAdjustment};
use uuid::Uuid;

use super::{Staff, books::find, settle};
use crate::{
    Web,
    error::PageResult,
    form::{Fields, Query},
    layout::{Shell, never_stored, page},
    view,
};

#[derive(Template)]
#[template(path = "admin/stock_list.html")]
struct StockList {
    shell: Shell,
    words: String,
    books: Vec<Book>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/stock.html")]
struct StockPage {
    shell: Shell,
    book: Book,
    stock: Stock,
    key: String,
}

/// `GET /admin/stock?q=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (books, next_href) = find(&web, &staff, &query, "/admin/stock").await?;
    page(&StockList { shell: staff.office("Stock"), words: query.get("q").to_owned(), books, next_href })
        .map(never_stored)
}

/// `GET /admin/stock/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let (book, stock) = tokio::try_join!(web.api.book(staff.caller(), &id), web.api.stock(staff.caller(), &id))?;
    page(&StockPage {
        shell: staff.office(format!("Stock of {}", book.title)),
        book,
        stock,
        key: Uuid::new_v4().to_string(),
    })
    .map(never_stored)
}

/// `POST /admin/stock/{id}`: `delta`, `reason`, `idempotency_key`.
pub(crate) async fn adjust(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    // What is no number becomes 0, which the API refuses with the right words.
    let delta = fields.get("delta").trim_start_matches('+').parse().unwrap_or(0);
    let adjustment = StockAdjustment { delta, reason: fields.get("reason").to_owned() };
    let key = fields.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()).to_string();
    let outcome = web.api.adjust_stock(staff.caller(), &id, &key, &adjustment).await;
    let done = outcome.as_ref().map(|stock| format!("Adjusted. There are {} in the house now.", stock.on_hand));
    let done = done.unwrap_or_default();
    settle(&staff, outcome.map(drop), &done, &format!("/admin/stock/{}", view::encoded(&id)))
}
