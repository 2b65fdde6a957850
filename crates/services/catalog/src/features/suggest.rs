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

/// From the index: titles, and room for some names.
fn propose(index: &bookworm_search::Index, typed: &str) -> Vec<Suggestion> {
    let kinds = [
        (TITLE, SuggestionKind::Title, ITEMS),
        (SUBJECT, SuggestionKind::Subject, NAMES),
        (AUTHOR, SuggestionKind::Author, NAMES),
    ];
    let found = index.suggest_each(typed, &kinds.map(|(code, _, most)| (code, most)));
    let names: usize = found.iter().skip(1).map(Vec::len).sum();
    let room = [ITEMS - names, NAMES, NAMES];
    let lists = found.into_iter().zip(kinds).zip(room);
    let items = lists.flat_map(|((list, (_, kind, _)), room)| {
        list.into_iter().take(room).map(move |found| Suggestion { text: found.text, kind, id: found.id })
    });
    items.collect()
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
