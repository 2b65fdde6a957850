//! The front page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::{Book, RecommendationBasis};
use http::{HeaderMap, header};

use crate::{
    Web,
    api::{ApiResult, Caller},
    error::PageResult,
    layout::{Shell, page},
    session::Visitor,
    shelf::{ROW, Row, within_a_moment},
};

/// How many subjects the index lists.
const INDEXED: usize = 36;
/// How many books the shelf and the row below it need.
const ENOUGH: usize = 11;
/// How many of the favourites stand on the shelf beside the welcome.
const ON_THE_SHELF: usize = 5;
/// How many books a row shows.
const IN_A_ROW: usize = 6;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    favourites: Vec<Book>,
    recommended: Vec<Book>,
    /// Whether they are recommended to this customer, or to everybody.
    yours: bool,
    loved: Vec<Book>,
    /// Whether readers have rated these books, or they are merely the first of the shelf.
    rated: bool,
    fresh: Arc<Vec<Book>>,
    subjects: Vec<(String, i64)>,
}

/// `GET /`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, headers: HeaderMap) -> PageResult {
    let caller = visitor.caller();
    let language = preferred_language(&headers);
    let shelves = async {
        tokio::try_join!(
            well_loved(&web, caller, language),
            web.shelf.row(&web.api, caller, Row::New),
            web.shelf.subjects(&web.api, caller),
        )
    };
    let (shelves, (recommended, yours)) = tokio::join!(shelves, recommended(&web, &visitor));
    let (all_loved, fresh, subjects) = shelves?;
    let mut subjects: Vec<(String, i64)> =
        subjects.iter().take(INDEXED).map(|subject| (subject.name.clone(), subject.books)).collect();
    subjects.sort_by_key(|(name, _)| name.to_lowercase());
    let shell = visitor
        .shell("Good books, honestly sold")
        .indexed("An independent bookshop: new and classic titles with honest prices and stock you can trust.");
    let rated = all_loved.iter().any(|book| book.rating.count > 0);
    let favourites: Vec<Book> = all_loved.iter().take(ON_THE_SHELF).cloned().collect();
    // Where there are enough books, none is shown twice; but what is meant for one customer is never left out.
    let on_the_shelf = if all_loved.len() >= ENOUGH { favourites.as_slice() } else { &[] };
    let among = |books: &[Book], book: &Book| books.iter().any(|other| other.id == book.id);
    let fits = |book: &&Book| yours || !among(on_the_shelf, book);
    let recommended: Vec<Book> = recommended.iter().filter(fits).take(IN_A_ROW).cloned().collect();
    let rest = all_loved.iter().filter(|book| !among(on_the_shelf, book) && !among(&recommended, book));
    let loved = rest.take(IN_A_ROW).cloned().collect();
    page(&HomePage { shell, favourites, recommended, yours, loved, rated, fresh, subjects })
}

/// What may please this visitor, and whether it is meant for them alone. A bonus: none when it is not to be had.
async fn recommended(web: &Web, visitor: &Visitor) -> (Arc<Vec<Book>>, bool) {
    let caller = visitor.caller();
    if visitor.account().is_none() {
        return (web.shelf.bonus(&web.api, caller, Row::Popular).await, false);
    }
    match within_a_moment(web.api.recommendations(caller, ROW)).await {
        Some(found) => (Arc::new(found.items), found.basis == RecommendationBasis::Yours),
        None => (Arc::default(), false),
    }
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
