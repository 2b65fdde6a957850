//! The front page.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use bookworm_contracts::rest::catalog::Book;

use crate::{
    Web,
    error::PageResult,
    layout::{Shell, page},
    session::Visitor,
    shelf::Row,
};

/// How many subjects the index lists.
const INDEXED: usize = 36;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    loved: Arc<Vec<Book>>,
    fresh: Arc<Vec<Book>>,
    subjects: Vec<(String, i64)>,
}

/// How many of the favourites the row leaves out, because they stand on the shelf above it already.
pub(crate) fn rest(loved: &[Book]) -> usize {
    if loved.len() >= 11 { 5 } else { 0 }
}

/// `GET /`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let caller = visitor.caller();
    let (loved, fresh, subjects) = tokio::try_join!(
        web.shelf.row(&web.api, caller, Row::WellLoved),
        web.shelf.row(&web.api, caller, Row::New),
        web.shelf.subjects(&web.api, caller),
    )?;
    let mut subjects: Vec<(String, i64)> =
        subjects.iter().take(INDEXED).map(|subject| (subject.name.clone(), subject.books)).collect();
    subjects.sort_by_key(|(name, _)| name.to_lowercase());
    let shell = visitor
        .shell("Good books, honestly sold")
        .indexed("An independent bookshop: new and classic titles with honest prices and stock you can trust.");
    page(&HomePage { shell, loved, fresh, subjects })
}
