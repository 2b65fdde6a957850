//! Stock: copies on hand, committed to orders, and available.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::catalog::{Book, Stock, StockAdjustment};
use bookworm_kernel::ErrorCode;
use http::StatusCode;
use uuid::Uuid;

use super::{Staff, books::find};
use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query, WHOLE, whole_number},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view,
};

/// Copies that one adjustment may add or take off. The API has the same limit.
const MOST: i64 = 1_000_000;

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
    errors: Errors,
    fields: Vec<Field>,
}

/// `GET /admin/stock?q=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (books, next_href) = find(&web, &staff, &query, "/admin/stock").await?;
    page(&StockList { shell: staff.office("Stock"), words: query.get("q").to_owned(), books, next_href })
        .map(never_stored)
}

/// `GET /admin/stock/{id}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    form(&web, &staff, StatusCode::OK, &id, &Fields::default(), Errors::default()).await
}

/// `POST /admin/stock/{id}`: `delta`, `reason`, `idempotency_key`.
pub(crate) async fn adjust(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let mut errors = Errors::default();
    let delta = match whole_number(fields.get("delta")) {
        Some(0) => Err("Enter how many copies came in or left; 0 changes nothing.".to_owned()),
        Some(delta) if delta.abs() > MOST => {
            Err(format!("Adjust by at most {} copies at a time.", view::number(&MOST)))
        }
        Some(delta) => Ok(delta),
        None => Err(WHOLE.to_owned()),
    };
    if let Err(problem) = &delta {
        errors.add("delta", problem);
    }
    let reason = fields.get("reason");
    if reason.is_empty() {
        errors.add("reason", "Enter a reason, such as “Delivery from the publisher”.");
    }
    let (Ok(delta), true) = (delta, errors.is_empty()) else {
        return form(&web, &staff, StatusCode::BAD_REQUEST, &id, &fields, errors).await;
    };
    let adjustment = StockAdjustment { delta, reason: reason.to_owned() };
    let key = fields.get("idempotency_key").parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()).to_string();
    let error = match web.api.adjust_stock(staff.caller(), &id, &key, &adjustment).await {
        Ok(stock) => {
            let copies = if stock.on_hand == 1 { "copy" } else { "copies" };
            staff.flash(&Flash::success(format!("Stock updated: {} {copies} on hand.", view::number(&stock.on_hand))));
            return Ok(Redirect::to(&format!("/admin/stock/{}", view::encoded(&id))).into_response());
        }
        Err(error) => error,
    };
    let Some(problem) = error.problem().filter(|problem| matches!(problem.status, 400 | 409 | 422)) else {
        return Err(error.into());
    };
    if problem.code == ErrorCode::InsufficientStock.as_str() {
        let left = web.api.stock(staff.caller(), &id).await?.available.max(0);
        errors.add(
            "delta",
            format!("You can take off at most {}: the other copies are committed to orders.", view::number(&left)),
        );
    }
    for wrong in &problem.errors {
        match wrong.field.as_str() {
            "/delta" => errors.add("delta", "That’s more copies than the shop can keep of one book."),
            "/reason" => errors.add("reason", "Enter a reason of up to 200 characters, on one line."),
            _ => {}
        }
    }
    if errors.is_empty() {
        errors.general.push("The stock wasn’t changed. Reload the page and try again.".to_owned());
    }
    form(&web, &staff, error.status(), &id, &fields, errors).await
}

async fn form(web: &Web, staff: &Staff, status: StatusCode, id: &str, typed: &Fields, errors: Errors) -> PageResult {
    let (book, stock) = tokio::try_join!(web.api.book(staff.caller(), id), web.api.stock(staff.caller(), id))?;
    let fields = [
        Field::new("delta", "Adjust by").hint("For example 12 or -3").maxlength(12),
        Field::new("reason", "Reason")
            .hint("Saved with the change, for example: damaged in transit")
            .class("field--wide"),
    ];
    let stock_page = StockPage {
        shell: staff.office(format!("Stock of {}", book.title)),
        book,
        stock,
        key: Uuid::new_v4().to_string(),
        fields: fields.into_iter().map(|field| field.fill(typed, &errors)).collect(),
        errors,
    };
    page_with(status, &stock_page).map(never_stored)
}
