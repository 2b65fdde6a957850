//! The front page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::{Book, RecommendationBasis};
use bookworm_kernel::BookId;
use http::{HeaderMap, header};

use crate::{
    api::{ApiResult, Caller},
    cover,
    error::PageResult,
    layout::{Shell, page},
    service::Web,
    session::Visitor,
    shelf::{ROW, Row, within_a_moment},
    view,
};

/// How many subjects the index lists.
const INDEXED: usize = 36;
/// How many books the shelf and the row below it need.
const ENOUGH: usize = 11;
/// How many books stand on the shelf beside the welcome.
const ON_THE_SHELF: usize = 5;
/// From how many they are picked.
const ROW_OF_CHOICE: usize = 12;
/// How many books a row shows.
const IN_A_ROW: usize = 6;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    /// The books that stand beside the welcome.
    shelf: Vec<Book>,
    rows: Vec<Shelved>,
    subjects: Vec<(String, i64)>,
    /// Whether there is nothing to sell.
    is_empty: bool,
}

/// A row of books under a heading that is true of each of them.
struct Shelved {
    id: &'static str,
    heading: &'static str,
    /// Where the row comes from, when the heading does not say it.
    why: &'static str,
    /// Where there is more of it, and how the link is called.
    all: Option<(&'static str, &'static str)>,
    books: Vec<Book>,
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
    let (shelves, (recommended, basis)) = tokio::join!(shelves, recommended(&web, &visitor));
    let (loved, fresh, subjects) = shelves?;
    let mut subjects: Vec<(String, i64)> =
        subjects.iter().take(INDEXED).map(|subject| (subject.name.clone(), subject.books)).collect();
    subjects.sort_by_key(|(name, _)| name.to_lowercase());
    let shell = visitor
        .shell("Good books, honestly sold")
        .indexed("New books and classics at honest prices, with stock you can rely on.");
    let is_empty = loved.is_empty() && fresh.is_empty();
    let (shelf, rows) = arrange(&recommended, basis, &loved, &fresh);
    page(&HomePage { shell, shelf, rows, subjects, is_empty })
}

/// What stands where. A row has only books of which its heading is true; where there are enough books, none is shown
/// twice, but for those that the reader's own row or the bestsellers need.
fn arrange(
    recommended: &[Book],
    basis: RecommendationBasis,
    loved: &[Book],
    fresh: &[Book],
) -> (Vec<Book>, Vec<Shelved>) {
    let mut rows = Vec::new();
    let mut shown: Vec<BookId> = Vec::new();
    let own = match basis {
        RecommendationBasis::Yours => Some(("For you", "Based on what you’ve bought and viewed")),
        RecommendationBasis::Popular => Some(("Bestsellers", "")),
        RecommendationBasis::Shelf => None,
    };
    if let Some((heading, why)) = own.filter(|_| !recommended.is_empty()) {
        let books: Vec<Book> = recommended.iter().take(IN_A_ROW).cloned().collect();
        shown.extend(books.iter().map(|book| book.id));
        rows.push(Shelved { id: "recommended", heading, why, all: None, books });
    }
    let enough = loved.len() >= ENOUGH;
    let shelf = side_by_side(loved.iter().filter(|book| !(enough && shown.contains(&book.id))));
    if enough {
        shown.extend(shelf.iter().map(|book| book.id));
    }
    let mut row = |id, heading, all, books: &mut dyn Iterator<Item = &Book>| {
        let books: Vec<Book> = books.filter(|book| !shown.contains(&book.id)).take(IN_A_ROW).cloned().collect();
        shown.extend(books.iter().map(|book| book.id));
        if !books.is_empty() {
            rows.push(Shelved { id, heading, why: "", all, books });
        }
    };
    if loved.iter().any(view::is_loved) {
        let all = Some(("/books?sort=rating", "Top rated"));
        row("loved", "Readers’ favourites", all, &mut loved.iter().filter(|book| view::is_loved(book)));
    } else {
        row("loved", "From our shelves", Some(("/books", "See all")), &mut loved.iter());
    }
    row("fresh", "Latest publications", Some(("/books?sort=newest", "See all")), &mut fresh.iter());
    (shelf, rows)
}

/// The first books for the shelf, so that no two neighbours have covers of one style.
fn side_by_side<'a>(books: impl Iterator<Item = &'a Book>) -> Vec<Book> {
    let mut waiting: Vec<&Book> = books.take(ROW_OF_CHOICE).collect();
    let mut shelf: Vec<Book> = Vec::new();
    while shelf.len() < ON_THE_SHELF && !waiting.is_empty() {
        let last = shelf.last().map(cover::style_of);
        let next = waiting.iter().position(|book| Some(cover::style_of(book)) != last).unwrap_or(0);
        shelf.push(waiting.remove(next).clone());
    }
    shelf
}

/// What may please this visitor, and what it is made from. A bonus: none when it is not to be had.
async fn recommended(web: &Web, visitor: &Visitor) -> (Arc<Vec<Book>>, RecommendationBasis) {
    let caller = visitor.caller();
    if visitor.account().is_none() {
        return (web.shelf.bonus(&web.api, caller, Row::Popular).await, RecommendationBasis::Popular);
    }
    match within_a_moment(web.api.recommendations(caller, ROW)).await {
        Some(found) => (Arc::new(found.items), found.basis),
        None => (Arc::default(), RecommendationBasis::Shelf),
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
