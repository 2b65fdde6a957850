use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{Suggestion, SuggestionKind, Suggestions};
use bookworm_http::{ApiQuery, ProblemBody, Result, Validator};
use bookworm_kernel::BookId;
use serde::Deserialize;

use super::fresh;
use crate::{
    CatalogService,
    domain::text::sort_key,
    search::{AUTHOR, SUBJECT, TITLE},
    store::{
        find,
        names::{self, After, Kind},
    },
};

/// Authors, and subjects, among the suggestions at most.
const NAMES: usize = 3;
/// Suggestions at most.
const ITEMS: usize = 10;
/// The most characters that are completed.
const MAX_TYPED: usize = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct SuggestParams {
    q: Option<String>,
}

/// Completions of what is being typed: titles, authors and subjects that begin so, or have a word that does; when there
/// is none, those that begin with something like it. Case and diacritics do not matter.
#[utoipa::path(get, path = "/search/suggest", tag = "catalog",
    params(("q" = Option<String>, Query, description = "What was typed so far; up to 200 characters. Blank: no completions")),
    responses(
        (status = 200, body = Suggestions, description = "At most ten"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/q`"),
    ))]
pub(crate) async fn suggest(
    State(catalog): State<CatalogService>,
    ApiQuery(params): ApiQuery<SuggestParams>,
) -> Result<Response> {
    let query = params.q.unwrap_or_default();
    let mut valid = Validator::new();
    valid.check("/q", query.chars().count() <= MAX_TYPED, format!("must be at most {MAX_TYPED} characters"));
    valid.finish()?;
    let prefix = sort_key(&query);
    if prefix.is_empty() {
        return fresh(&Suggestions { items: Vec::new() }, []);
    }
    let search = &catalog.0.search;
    let proposed =
        if search.is_whole() { search.ask(move |index| Ok(propose(index, &query))).await.ok() } else { None };
    let items = match proposed {
        Some(items) => items,
        None => simple(&catalog, &prefix).await?,
    };
    let books: Vec<BookId> =
        items.iter().filter(|item| item.kind == SuggestionKind::Title).map(|item| BookId::from_uuid(item.id)).collect();
    fresh(&Suggestions { items }, books)
}

/// From the index: what begins as typed before what is only like it.
fn propose(index: &bookworm_search::Index, typed: &str) -> Vec<Suggestion> {
    let of = |code: u8, kind: SuggestionKind, most: usize| {
        let found = index.suggest(typed, &[code], most);
        found.into_iter().map(move |s| (s.tolerated, Suggestion { text: s.text, kind, id: s.id })).collect::<Vec<_>>()
    };
    let (subjects, authors, titles) = (
        of(SUBJECT, SuggestionKind::Subject, NAMES),
        of(AUTHOR, SuggestionKind::Author, NAMES),
        of(TITLE, SuggestionKind::Title, ITEMS),
    );
    let all = || titles.iter().chain(&subjects).chain(&authors);
    let literal = all().any(|(tolerated, _)| !tolerated);
    let kept = |list: &[(bool, Suggestion)]| -> Vec<Suggestion> {
        list.iter().filter(|(tolerated, _)| !(literal && *tolerated)).map(|(_, item)| item.clone()).collect()
    };
    let mut names = kept(&subjects);
    names.extend(kept(&authors));
    let mut items = kept(&titles);
    items.truncate(ITEMS - names.len());
    items.extend(names);
    items
}

/// From the database, when there is no index.
async fn simple(catalog: &CatalogService, prefix: &str) -> Result<Vec<Suggestion>> {
    let db = catalog.0.db.read();
    let mut items = Vec::new();
    for (kind, suggestion) in [(Kind::Subject, SuggestionKind::Subject), (Kind::Author, SuggestionKind::Author)] {
        let rows = names::list(db, kind, prefix, &After::Books(None), NAMES as i64).await?;
        let named = rows.into_iter().filter(|row| row.book_count > 0);
        items.extend(named.map(|row| Suggestion { text: row.name, kind: suggestion, id: row.id }));
    }
    let titles = find::titles(db, prefix, (ITEMS - items.len()) as i64).await?;
    let title = |row: find::Completion| Suggestion { text: row.text, kind: SuggestionKind::Title, id: row.id };
    items.splice(0..0, titles.into_iter().map(title));
    Ok(items)
}
