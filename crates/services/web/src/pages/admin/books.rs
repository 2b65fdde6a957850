//! The catalogue, as staff keep it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::catalog::{Book, BookInput};
use bookworm_kernel::{Currency, ErrorCode, Money};
use http::StatusCode;

use super::{PAGE, Staff, next_href, settle};
use crate::{
    Web,
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page, page_with},
    view,
};

const KNOWN: &[&str] = &[
    "title",
    "authors",
    "price",
    "list_price",
    "isbn13",
    "publisher",
    "year",
    "language",
    "pages",
    "subjects",
    "series",
    "description",
    "source_id",
    "stock",
];

#[derive(Template)]
#[template(path = "admin/books.html")]
struct BooksPage {
    shell: Shell,
    words: String,
    books: Vec<Book>,
    next_href: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/book.html")]
struct BookForm {
    shell: Shell,
    heading: String,
    errors: Errors,
    fields: Vec<Field>,
    /// The book that is edited; empty for a new one.
    id: String,
    version: String,
    currency: String,
}

/// Books by words, or all by title.
pub(super) async fn find(
    web: &Web,
    staff: &Staff,
    query: &Query,
    base: &str,
) -> Result<(Vec<Book>, Option<String>), ApiError> {
    let (words, cursor) = (query.get("q"), query.get("cursor"));
    let (books, next) = if words.is_empty() {
        let filters = [("sort", "title"), ("cursor", cursor), ("limit", PAGE)];
        let list = web.api.books(staff.caller(), &filters).await?;
        (list.items, list.next)
    } else {
        let found = web.api.search(staff.caller(), &[("q", words), ("cursor", cursor), ("limit", PAGE)]).await?;
        (found.items.into_iter().map(|hit| hit.book).collect(), found.next)
    };
    Ok((books, next_href(base, &[("q", words)], next.as_deref())))
}

/// `GET /admin/books?q=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (books, next_href) = find(&web, &staff, &query, "/admin/books").await?;
    page(&BooksPage { shell: staff.office("Books"), words: query.get("q").to_owned(), books, next_href })
        .map(never_stored)
}

/// `GET /admin/books/new`
pub(crate) async fn blank(State(web): State<Web>, staff: Staff) -> PageResult {
    let currency = shop_currency(&web, &staff).await;
    let mut typed = Fields::default();
    typed.put("currency", currency.code());
    form(&staff, StatusCode::OK, None, &typed, Errors::default())
}

/// `POST /admin/books/new`
pub(crate) async fn create(State(web): State<Web>, staff: Staff, fields: Fields) -> PageResult {
    let input = match read(&fields) {
        Ok(input) => input,
        Err(errors) => return form(&staff, StatusCode::BAD_REQUEST, None, &fields, errors),
    };
    match web.api.create_book(staff.caller(), &input).await {
        Ok(book) => {
            staff.tell(&Flash::success(format!("“{}” is on sale.", book.title)));
            Ok(Redirect::to(&format!("/admin/books/{}", book.id)).into_response())
        }
        Err(error) => refused(&staff, error, None, &fields),
    }
}

/// `GET /admin/books/{id}`
pub(crate) async fn edit(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let book = web.api.book(staff.caller(), &id).await?;
    form(&staff, StatusCode::OK, Some(&id), &typed(&book), Errors::default())
}

/// `POST /admin/books/{id}`
pub(crate) async fn save(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let input = match read(&fields) {
        Ok(input) => input,
        Err(errors) => return form(&staff, StatusCode::BAD_REQUEST, Some(&id), &fields, errors),
    };
    match web.api.update_book(staff.caller(), &id, fields.get("version"), &input).await {
        Ok(book) => {
            staff.tell(&Flash::success(format!("“{}” is saved.", book.title)));
            Ok(Redirect::to(&format!("/admin/books/{}", book.id)).into_response())
        }
        Err(error) => refused(&staff, error, Some(&id), &fields),
    }
}

/// `POST /admin/books/{id}/delete`
pub(crate) async fn delete(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let outcome = web.api.delete_book(staff.caller(), &id, fields.get("version")).await;
    let back = if outcome.is_ok() { "/admin/books".to_owned() } else { format!("/admin/books/{}", view::encoded(&id)) };
    settle(&staff, outcome, "The book is off the shelves. Past orders still show it.", &back)
}

/// What the shop is priced in: as its shipping is, which it has before it has a book.
async fn shop_currency(web: &Web, staff: &Staff) -> Currency {
    let methods = web.api.shipping_methods(staff.caller()).await.unwrap_or_default();
    methods.first().map_or(Currency::USD, |method| method.price.currency)
}

fn typed(book: &Book) -> Fields {
    let mut fields = Fields::default();
    let names: Vec<&str> = book.authors.iter().map(|author| author.name.as_str()).collect();
    fields.put("title", &book.title);
    fields.put("authors", &names.join("\n"));
    fields.put("price", &book.price.decimal());
    fields.put("currency", book.price.currency.code());
    fields.put("subjects", &book.subjects.join("\n"));
    fields.put("version", &book.version.to_string());
    let optional = [
        ("list_price", book.list_price.map(Money::decimal)),
        ("isbn13", book.isbn13.map(|isbn| isbn.to_string())),
        ("publisher", book.publisher.clone()),
        ("year", book.year.map(|year| year.to_string())),
        ("language", book.language.clone()),
        ("pages", book.pages.map(|pages| pages.to_string())),
        ("series", book.series.clone()),
        ("description", book.description.clone()),
        ("source_id", book.source_id.clone()),
    ];
    for (name, value) in optional {
        fields.put(name, &value.unwrap_or_default());
    }
    fields
}

fn read(fields: &Fields) -> Result<BookInput, Errors> {
    let mut errors = Errors::default();
    let currency = Currency::parse(fields.get("currency")).unwrap_or(Currency::USD);
    let mut money = |name: &str| -> Option<Money> {
        let text = fields.optional(name)?;
        currency.parse_amount(&text).map_err(|error| errors.add(name, error.to_string())).ok()
    };
    let (price, list_price) = (money("price"), money("list_price"));
    if fields.get("price").is_empty() {
        errors.add("price", "Say what it costs.");
    }
    if fields.get("title").is_empty() {
        errors.add("title", "Give the book its title.");
    }
    let mut number = |name: &str| -> Option<i64> {
        let text = fields.optional(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            errors.add(name, "Write a whole number.");
        }
        number
    };
    let (year, pages, stock) = (number("year"), number("pages"), number("stock"));
    let lines = |name: &str| {
        let lines = fields.get(name).lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let small = |number: Option<i64>| number.map(|number| i32::try_from(number).unwrap_or(i32::MAX));
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(BookInput {
        title: fields.get("title").to_owned(),
        authors: lines("authors"),
        price,
        list_price,
        isbn13: fields.optional("isbn13"),
        publisher: fields.optional("publisher"),
        year: small(year),
        language: fields.optional("language"),
        pages: small(pages),
        subjects: lines("subjects"),
        series: fields.optional("series"),
        description: fields.optional("description"),
        source_id: fields.optional("source_id"),
        stock,
    })
}

fn refused(staff: &Staff, error: ApiError, id: Option<&str>, fields: &Fields) -> PageResult {
    let Some(problem) = error.problem().filter(|problem| matches!(problem.status, 400 | 409 | 412 | 422 | 428)) else {
        return Err(error.into());
    };
    let mut errors = Errors::from_api(&problem.errors, KNOWN);
    if problem.code == ErrorCode::EditConflict.as_str() {
        errors.general.push(
            "Somebody else saved this book while you were editing. Your text is still below. \
             Open the book in another tab, compare, and save again from there."
                .to_owned(),
        );
    }
    if errors.is_empty() {
        errors.general.push(problem.message().to_owned());
    }
    form(staff, error.status(), id, fields, errors)
}

fn form(staff: &Staff, status: StatusCode, id: Option<&str>, typed: &Fields, errors: Errors) -> PageResult {
    let mut fields = vec![
        Field::new("title", "Title").maxlength(500).class("grid__all"),
        Field::new("authors", "Authors")
            .rows(3)
            .maxlength(10_000)
            .hint("One on each line, as on the cover.")
            .optional(),
        Field::new("subjects", "Subjects").rows(3).maxlength(5_000).hint("One on each line.").optional(),
        Field::new("price", "Price").inputmode("decimal").maxlength(12),
        Field::new("list_price", "Price before")
            .inputmode("decimal")
            .maxlength(12)
            .hint("Higher than the price: shown struck through.")
            .optional(),
        Field::new("isbn13", "ISBN").maxlength(20).optional(),
        Field::new("publisher", "Publisher").optional(),
        Field::new("year", "Year").maxlength(5).hint("Of first publication; below zero before our era.").optional(),
        Field::new("language", "Language").maxlength(60).hint("Its name or its code: English, en.").optional(),
        Field::new("pages", "Pages").inputmode("numeric").maxlength(6).optional(),
        Field::new("series", "Series").maxlength(300).optional(),
        Field::new("source_id", "Key in the import file").optional(),
    ];
    if id.is_none() {
        fields.push(Field::new("stock", "Copies in the house").inputmode("numeric").maxlength(7).optional());
    }
    fields.push(Field::new("description", "Description").rows(8).maxlength(20_000).class("grid__all").optional());
    let heading = if id.is_some() { "Edit a book" } else { "A new book" };
    let form = BookForm {
        shell: staff.office(heading),
        heading: heading.to_owned(),
        fields: fields.into_iter().map(|field| field.fill(typed, &errors)).collect(),
        errors,
        id: id.unwrap_or_default().to_owned(),
        version: typed.get("version").to_owned(),
        currency: typed.get("currency").to_owned(),
    };
    page_with(status, &form).map(never_stored)
}
