//! The page of a book.

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::catalog::Book;
use bookworm_kernel::Money;
use serde_json::json;

use crate::{
    Web,
    error::PageResult,
    layout::{Shell, page},
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
    sold_out: bool,
    few_left: bool,
    reduced_from: Option<Money>,
    paragraphs: Vec<String>,
    json_ld: String,
    most: i64,
    related: Vec<Book>,
    book: Book,
}

/// `GET /books/{id}`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> PageResult {
    let book = web.api.book(visitor.caller(), &id).await?;
    // The row below the book is a bonus: the page does not fail with it.
    let related = match book.subjects.first() {
        Some(subject) => {
            let row = Row::About(subject.clone());
            let row = web.shelf.row(&web.api, visitor.caller(), row).await.unwrap_or_default();
            row.iter().filter(|other| other.id != book.id).take(6).cloned().collect()
        }
        None => Vec::new(),
    };
    let by = view::authors(&book);
    let description = match &book.description {
        Some(text) => text.chars().take(160).collect(),
        None => format!("{} by {by}", book.title),
    };
    page(&BookPage {
        shell: visitor.shell(format!("{} by {by}", book.title)).indexed(description),
        sold_out: view::sold_out(&book),
        few_left: view::few_left(&book),
        reduced_from: view::reduced_from(&book),
        paragraphs: paragraphs(book.description.as_deref().unwrap_or_default()),
        json_ld: metadata(&book),
        most: book.available.clamp(1, OFFERED),
        related,
        book,
    })
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
        "offers": {
            "@type": "Offer",
            "price": view::amount(book.price),
            "priceCurrency": book.price.currency,
            "availability": if view::sold_out(book) { "https://schema.org/OutOfStock" } else { "https://schema.org/InStock" },
        },
    });
    let optional = [
        ("isbn", book.isbn13.map(|isbn| json!(isbn))),
        ("inLanguage", book.language.as_ref().map(|language| json!(language))),
        ("numberOfPages", book.pages.map(|pages| json!(pages))),
        ("publisher", book.publisher.as_ref().map(|name| json!({"@type": "Organization", "name": name}))),
        ("description", book.description.as_ref().map(|text| json!(text))),
        (
            "aggregateRating",
            (book.rating.count > 0).then(|| {
                json!({"@type": "AggregateRating", "ratingValue": book.rating.average, "ratingCount": book.rating.count})
            }),
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            about[name] = value;
        }
    }
    about.to_string().replace('<', "\\u003c")
}
