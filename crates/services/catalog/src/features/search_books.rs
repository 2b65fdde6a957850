use std::time::Instant;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{Matched, SearchHit, SearchResponse};
use bookworm_http::{ApiQuery, ProblemBody, Result};
use bookworm_kernel::Isbn13;
use serde::Deserialize;

use super::{answer, list_books::BookParams, send};
use crate::{CatalogService, store::find};

#[derive(Debug, Deserialize)]
pub(crate) struct SearchParams {
    q: Option<String>,
    #[serde(flatten)]
    books: BookParams,
}

/// Books whose title, authors or ISBN have every word of the query, or words that begin so. Case and diacritics do not
/// matter. Titles that begin with the query come first, then titles that have every word. Without a query: every book.
#[utoipa::path(get, path = "/search", tag = "catalog",
    params(("q" = Option<String>, Query, description = "Words, or an ISBN in any notation; up to 200 characters"), BookParams),
    responses(
        (status = 200, body = SearchResponse, description = "One page of hits, with the facets of the whole result"),
        (status = 400, body = ProblemBody, description = "`validation_failed` naming the parameter, or `invalid_cursor`"),
    ))]
pub(crate) async fn search_books(
    State(catalog): State<CatalogService>,
    ApiQuery(params): ApiQuery<SearchParams>,
) -> Result<Response> {
    let query = params.q.as_deref().unwrap_or_default();
    // An ISBN is stored as 13 digits, whatever the notation in which it is asked for.
    let isbn = Isbn13::parse(query).ok().map(|isbn| isbn.to_string());
    let listing = params.books.check(Some(isbn.as_deref().unwrap_or(query)))?;
    let found = catalog.0.cache.list(listing.key("search"), async {
        let started = Instant::now();
        let ((rows, next), (total, facets)) = futures::try_join!(listing.read(&catalog), async {
            Ok(find::facets(catalog.0.db.read(), &listing.filter).await?)
        })?;
        let items = rows
            .into_iter()
            .map(|found| {
                let readers = found.book.rating_count as f64;
                // As the list is ordered: how well it matches, then how many rated it.
                let score = found.rank as f64 + readers / (readers + 1_000.0);
                let matched = Matched { text: listing.filter.words.is_some(), meaning: false };
                Ok(SearchHit {
                    book: found.book.into_book()?,
                    score,
                    matched,
                    highlights: Vec::new(),
                    explanation: None,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer(
            0,
            &SearchResponse {
                items,
                next,
                facets,
                total,
                did_you_mean: None,
                nearest: false,
                degraded: false,
                took_ms,
            },
        )
    });
    Ok(send(found.await?))
}
