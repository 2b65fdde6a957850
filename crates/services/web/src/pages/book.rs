//! The page of a book.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::catalog::{Book, RatingSource};
use bookworm_kernel::Money;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    api::{ApiClient, Caller},
    error::PageResult,
    form::Query,
    layout::{Shell, page},
    pages::reviews::Section,
    service::Web,
    session::Visitor,
    shelf::Row,
    view,
};

/// The most copies that the list beside the button offers; the basket takes up to 99.
const OFFERED: i64 = 10;

#[derive(Template)]
#[template(path = "book.html")]
struct BookPage {
    shell: Shell,
    /// Readers have reviewed it here.
    reviewed: bool,
    sold_out: bool,
    few_left: bool,
    reduced_from: Option<Money>,
    paragraphs: Vec<String>,
    json_ld: String,
    most: i64,
    similar: Arc<Vec<Book>>,
    reviews: Section,
    book: Book,
}

/// Views on their way to the catalogue at one time; further ones are not counted.
const VIEWS_UNDER_WAY: usize = 64;

/// Reports to the catalogue which books a customer looks at. The page never waits for it, and nothing depends on it.
#[derive(Clone)]
pub(crate) struct Views(Arc<Semaphore>);

impl Views {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(VIEWS_UNDER_WAY)))
    }

    fn note(&self, api: &ApiClient, caller: &Caller, id: &str) {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else { return };
        let (api, caller, id) = (api.clone(), caller.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = api.view_book(&caller, &id).await {
                tracing::debug!(%error, "a view is not counted");
            }
            drop(permit);
        });
    }
}

/// `GET /books/{id}`
pub(crate) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> PageResult {
    let caller = visitor.caller();
    // The row below the book is a bonus: the page does not fail with it.
    let similar = web.shelf.bonus(&web.api, caller, Row::Similar(id.clone()));
    let reviews = Section::read(&web, &visitor, &id, &query);
    let (book, similar, reviews) = tokio::join!(web.api.book(caller, &id), similar, reviews);
    let book = book?;
    // A browser that fetches ahead shows the page to nobody yet.
    if visitor.account().is_some() && !headers.contains_key("sec-purpose") {
        web.views.note(&web.api, caller, &id);
    }
    let by = view::authors(&book);
    let description = match &book.description {
        Some(text) => text.chars().take(160).collect(),
        None => format!("{} by {by}", book.title),
    };
    page(&BookPage {
        shell: visitor.shell(format!("{} by {by}", book.title)).indexed(description),
        reviewed: reviewed(&book),
        sold_out: view::sold_out(&book),
        few_left: view::few_left(&book),
        reduced_from: view::reduced_from(&book),
        paragraphs: paragraphs(book.description.as_deref().unwrap_or_default()),
        json_ld: metadata(&book),
        most: book.available.clamp(1, OFFERED),
        similar,
        reviews,
        book,
    })
}

fn reviewed(book: &Book) -> bool {
    book.rating.source == RatingSource::Reviews && book.rating.count > 0
}

fn paragraphs(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What search engines read (schema.org), safe inside a script element: no `<` remains.
fn metadata(book: &Book) -> String {
    let mut about = json!({
        "@context": "https://schema.org",
        "@type": ["Book", "Product"],
        "name": book.title,
        "author": book.authors.iter().map(|author| json!({"@type": "Person", "name": author.name})).collect::<Vec<_>>(),
        "image": book.cover_url,
        "genre": book.subjects,
    });
    if book.for_sale {
        about["offers"] = json!({
            "@type": "Offer",
            "price": book.price.decimal(),
            "priceCurrency": book.price.currency,
            "availability": if view::sold_out(book) { "https://schema.org/OutOfStock" } else { "https://schema.org/InStock" },
        });
    }
    let optional = [
        ("isbn", book.isbn13.map(|isbn| json!(isbn))),
        ("inLanguage", book.language.as_ref().map(|language| json!(language))),
        ("numberOfPages", book.pages.map(|pages| json!(pages))),
        ("publisher", book.publisher.as_ref().map(|name| json!({"@type": "Organization", "name": name}))),
        ("description", book.description.as_ref().map(|text| json!(text))),
        ("aggregateRating", rating_metadata(book)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            about[name] = value;
        }
    }
    about.to_string().replace('<', "\\u003c")
}

/// The rating that the page shows first; one that was imported says so, and where it is from.
fn rating_metadata(book: &Book) -> Option<Value> {
    if reviewed(book) {
        return Some(json!({
            "@type": "AggregateRating",
            "ratingValue": book.rating.average,
            "reviewCount": book.rating.count,
            "worstRating": 0.5,
            "bestRating": 5,
        }));
    }
    book.imported_rating.as_ref().map(|imported| {
        let mut rating = json!({
            "@type": "AggregateRating",
            "name": "Imported rating",
            "ratingValue": imported.average,
            "ratingCount": imported.count,
            "bestRating": 5,
        });
        if let Some(source) = &imported.source {
            rating["author"] = json!({"@type": "Organization", "name": source});
        }
        rating
    })
}
