//! The catalogue, as staff maintain it.

use std::ops::RangeInclusive;

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
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query, WHOLE, whole_number},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view,
};

/// What the API takes, too.
const YEARS: RangeInclusive<i64> = -5_000..=3_000;
const PAGES: RangeInclusive<i64> = 1..=100_000;
const COPIES: i64 = 1_000_000_000;

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
    "series_position",
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

#[derive(Template)]
#[template(path = "admin/book_delete.html")]
struct DeletePage {
    shell: Shell,
    book: Book,
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
            staff.flash(&Flash::success(format!("“{}” added to the shop.", book.title)));
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
            staff.flash(&Flash::success(format!("“{}” saved.", book.title)));
            Ok(Redirect::to(&format!("/admin/books/{}", book.id)).into_response())
        }
        Err(error) => refused(&staff, error, Some(&id), &fields),
    }
}

/// `GET /admin/books/{id}/delete`: asks whether it is meant.
pub(crate) async fn ask_delete(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let book = web.api.book(staff.caller(), &id).await?;
    page(&DeletePage { shell: staff.office(format!("Unlist {}", book.title)), book }).map(never_stored)
}

/// `POST /admin/books/{id}/delete`
pub(crate) async fn delete(State(web): State<Web>, staff: Staff, Path(id): Path<String>, fields: Fields) -> PageResult {
    let outcome = web.api.delete_book(staff.caller(), &id, fields.get("version")).await;
    let back = if outcome.is_ok() { "/admin/books".to_owned() } else { format!("/admin/books/{}", view::encoded(&id)) };
    settle(&staff, outcome, "The book is unlisted. Past orders still show it.", &back)
}

/// What the shop is priced in: as its shipping is, which it has before it has a book.
pub(super) async fn shop_currency(web: &Web, staff: &Staff) -> Currency {
    let methods = web.api.shipping_methods(staff.caller()).await.unwrap_or_default();
    methods.first().map_or(Currency::USD, |method| method.price.currency)
}

fn typed(book: &Book) -> Fields {
    let mut fields = Fields::default();
    let names: Vec<&str> = book.authors.iter().map(|author| author.name.as_str()).collect();
    fields.put("title", &book.title);
    fields.put("authors", &names.join("\n"));
    fields.put("price", &if book.for_sale { book.price.decimal() } else { String::new() });
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
        ("series_position", book.series_position.map(|position| position.to_string())),
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
    if fields.get("title").is_empty() {
        errors.add("title", "Enter a title.");
    }
    let mut number = |name: &str, range: RangeInclusive<i64>, otherwise: &str| -> Option<i64> {
        let text = fields.optional(name)?;
        match whole_number(&text) {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) => {
                errors.add(name, otherwise);
                None
            }
            None => {
                errors.add(name, WHOLE);
                None
            }
        }
    };
    let year = number("year", YEARS, wrong("year"));
    let pages = number("pages", PAGES, wrong("pages"));
    let stock = number("stock", 0..=COPIES, wrong("stock"));
    let lines = |name: &str| {
        let lines = fields.get(name).lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let series_position = fields.optional("series_position").and_then(|text| {
        let position = text.parse().ok().filter(|position| (0.0..=150.0).contains(position));
        position.or_else(|| {
            errors.add("series_position", wrong("series_position"));
            None
        })
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    // The ranges are within those of an `i32`.
    let small = |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok());
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
        series_position,
        description: fields.optional("description"),
        source_id: fields.optional("source_id"),
        stock,
        for_sale: Some(price.is_some()),
    })
}

/// What to say of a field that the API refuses: its own words are for programs.
fn wrong(field: &str) -> &'static str {
    match field {
        "title" => "Enter a title of up to 500 characters, on one line.",
        "authors" => "Enter up to 50 authors, one on each line, of up to 200 characters each.",
        "subjects" => "Enter up to 50 subjects, one on each line, of up to 100 characters each.",
        "price" => "Enter a price in the shop’s currency, up to a million.",
        "list_price" => "Enter an amount higher than the price.",
        "isbn13" => "Enter a valid ISBN with 10 or 13 digits. One of the digits may be mistyped.",
        "publisher" => "Enter a publisher of up to 200 characters, on one line.",
        "year" => "Enter a year between -5000 and 3000.",
        "language" => "Enter a language such as English, or its code, such as en.",
        "pages" => "Enter a number of pages between 1 and 100000.",
        "series" => "Enter a series of up to 300 characters, on one line.",
        "series_position" => "Enter a number from 0 to 150, such as 2 or 1.5, and the series it belongs to.",
        "description" => "Enter a description of up to 20,000 characters.",
        "source_id" => "Enter an external ID of up to 300 characters, on one line.",
        "stock" => "Enter a number of copies between 0 and 1000000000.",
        _ => "Check this field.",
    }
}

fn refused(staff: &Staff, error: ApiError, id: Option<&str>, fields: &Fields) -> PageResult {
    let Some(problem) = error.problem().filter(|problem| matches!(problem.status, 400 | 409 | 412 | 422 | 428)) else {
        return Err(error.into());
    };
    let mut errors = Errors::default();
    let taken = problem.code == ErrorCode::DuplicateValue.as_str();
    for found in &problem.errors {
        // `/authors/2` and `/price/amount` are about the whole field on the page.
        let name = found.field.trim_start_matches('/').split('/').next().unwrap_or_default();
        match name {
            "isbn13" if taken => errors.add(name, "Another book already has this ISBN."),
            "source_id" if taken => errors.add(name, "Another book already has this external ID."),
            known if KNOWN.contains(&known) => errors.add(known, wrong(known)),
            _ => {}
        }
    }
    if problem.code == ErrorCode::EditConflict.as_str() {
        errors.general.push(
            "Somebody else saved this book while you were editing it. Your version is still below. Open the book in \
             another tab, compare the two, and save again from there."
                .to_owned(),
        );
    }
    if errors.is_empty() {
        errors.general.push("The book wasn’t saved. Check what you entered and try again.".to_owned());
    }
    form(staff, error.status(), id, fields, errors)
}

fn form(staff: &Staff, status: StatusCode, id: Option<&str>, typed: &Fields, errors: Errors) -> PageResult {
    let mut fields = vec![
        Field::new("title", "Title").maxlength(500).class("grid__all"),
        Field::new("authors", "Authors").rows(3).maxlength(10_000).hint("One per line, as on the cover.").optional(),
        Field::new("subjects", "Subjects").rows(3).maxlength(5_000).hint("One per line.").optional(),
        Field::new("price", "Price")
            .inputmode("decimal")
            .maxlength(12)
            .hint("Leave empty if the book is not for sale.")
            .optional(),
        Field::new("list_price", "Compare-at price")
            .inputmode("decimal")
            .maxlength(12)
            .hint("Shown struck through beside the price.")
            .optional(),
        Field::new("isbn13", "ISBN").maxlength(20).optional(),
        Field::new("publisher", "Publisher").optional(),
        Field::new("year", "Year").maxlength(6).hint("First published; negative for BC.").optional(),
        Field::new("language", "Language").maxlength(60).hint("Name or code, such as English or en.").optional(),
        Field::new("pages", "Pages").inputmode("numeric").maxlength(6).optional(),
        Field::new("series", "Series").maxlength(300).optional(),
        Field::new("series_position", "Volume")
            .inputmode("decimal")
            .maxlength(6)
            .hint("Its number in the series, such as 2.")
            .optional(),
        Field::new("source_id", "External ID").maxlength(300).hint("The book’s key in an import file.").optional(),
    ];
    if id.is_none() {
        fields.push(Field::new("stock", "Copies on hand").inputmode("numeric").maxlength(10).optional());
    }
    fields.push(Field::new("description", "Description").rows(8).maxlength(20_000).class("grid__all").optional());
    let heading = if id.is_some() { "Edit book" } else { "Add book" };
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
