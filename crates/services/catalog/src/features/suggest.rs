use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{Suggestion, SuggestionKind, Suggestions};
use bookworm_http::{ApiQuery, ProblemBody, Result, Validator};
use serde::Deserialize;

use super::{answer, list_books::MAX_QUERY, send};
use crate::{
    CatalogService,
    domain::text::sort_key,
    store::{
        find,
        names::{self, After, Kind},
    },
};

/// Authors, and subjects, among the suggestions at most.
const NAMES: usize = 3;
/// Suggestions at most.
const ITEMS: usize = 10;

#[derive(Debug, Deserialize)]
pub(crate) struct SuggestParams {
    q: Option<String>,
}

/// Completions of what is being typed: titles, authors and subjects that begin so. Case and diacritics do not matter.
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
    valid.check("/q", query.chars().count() <= MAX_QUERY, format!("must be at most {MAX_QUERY} characters"));
    valid.finish()?;
    let prefix = sort_key(&query);
    let found = catalog.0.cache.list(format!("suggest {prefix}"), async {
        let mut items = Vec::new();
        if !prefix.is_empty() {
            let db = catalog.0.db.read();
            for (kind, suggestion) in [(Kind::Subject, SuggestionKind::Subject), (Kind::Author, SuggestionKind::Author)]
            {
                let rows = names::list(db, kind, &prefix, &After::Books(None), NAMES as i64).await?;
                let named = rows.into_iter().filter(|row| row.book_count > 0);
                items.extend(named.map(|row| Suggestion { text: row.name, kind: suggestion, id: row.id }));
            }
            let titles = find::titles(db, &prefix, (ITEMS - items.len()) as i64).await?;
            let title = |row: find::Completion| Suggestion { text: row.text, kind: SuggestionKind::Title, id: row.id };
            items.splice(0..0, titles.into_iter().map(title));
        }
        answer(0, &Suggestions { items })
    });
    Ok(send(found.await?))
}
