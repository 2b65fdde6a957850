//! The front page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::Book;
use http::{HeaderMap, header};

use crate::{
    Web,
    api::{ApiResult, Caller},
    error::PageResult,
    layout::{Shell, page},
    session::Visitor,
    shelf::Row,
};

/// How many subjects the index lists.
const INDEXED: usize = 36;
/// How many books the shelf and the row below it need.
const ENOUGH: usize = 11;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    loved: Arc<Vec<Book>>,
    /// Whether readers have rated these books, or they are merely the first of the shelf.
    rated: bool,
    fresh: Arc<Vec<Book>>,
    subjects: Vec<(String, i64)>,
}

/// How many of the favourites the row leaves out, because they stand on the shelf above it already.
pub(crate) fn rest(loved: &[Book]) -> usize {
    if loved.len() >= ENOUGH { 5 } else { 0 }
}

/// `GET /`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, headers: HeaderMap) -> PageResult {
    let caller = visitor.caller();
    let language = preferred_language(&headers);
    let (loved, fresh, subjects) = tokio::try_join!(
        well_loved(&web, caller, language),
        web.shelf.row(&web.api, caller, Row::New),
        web.shelf.subjects(&web.api, caller),
    )?;
    let mut subjects: Vec<(String, i64)> =
        subjects.iter().take(INDEXED).map(|subject| (subject.name.clone(), subject.books)).collect();
    subjects.sort_by_key(|(name, _)| name.to_lowercase());
    let shell = visitor
        .shell("Good books, honestly sold")
        .indexed("An independent bookshop: new and classic titles with honest prices and stock you can trust.");
    let rated = loved.iter().any(|book| book.rating.count > 0);
    page(&HomePage { shell, loved, rated, fresh, subjects })
}

/// The favourites in the visitor's language; those of all languages where these are too few for a row.
async fn well_loved(web: &Web, caller: &Caller, language: Option<String>) -> ApiResult<Arc<Vec<Book>>> {
    if let Some(language) = language {
        let row = web.shelf.row(&web.api, caller, Row::WellLovedIn(language)).await?;
        if row.len() >= ENOUGH {
            return Ok(row);
        }
    }
    web.shelf.row(&web.api, caller, Row::WellLoved).await
}

/// The first language that the browser asks for: two letters, or nothing.
fn preferred_language(headers: &HeaderMap) -> Option<String> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let first = accepted.split([',', ';', '-']).next()?.trim();
    (first.len() == 2 && first.chars().all(|c| c.is_ascii_alphabetic())).then(|| first.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_counts() {
        let of =
            |text: &str| preferred_language(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, text.parse().unwrap())]));
        assert_eq!(of("de-AT,de;q=0.9,en;q=0.8").as_deref(), Some("de"));
        assert_eq!(of("en").as_deref(), Some("en"));
        for odd in ["*", "", "x-klingon", "e1", ";q=1"] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }
}
