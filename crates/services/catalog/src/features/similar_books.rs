use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::{Page, catalog::Book};
use bookworm_http::{ApiPath, ApiQuery, PageParams, Problem, ProblemBody, Result};
use bookworm_kernel::BookId;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fresh;
use crate::{service::Catalog, store::find};

/// A list of books that are JSON already.
#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) items: Vec<Arc<RawValue>>,
    pub(super) next: Option<String>,
}

/// Books like this one, most alike first.
///
/// By what they are about and by the words that mark them out; without the search index, those that share authors and
/// subjects. One page only.
#[utoipa::path(get, path = "/books/{id}/similar", tag = "catalog",
    params(("id" = BookId, Path, description = "The book"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "20 when left out")),
    responses(
        (status = 200, body = Page<Book>, description = "`next` is always null"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/limit`"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ))]
pub(crate) async fn similar_books(
    State(catalog): State<Arc<Catalog>>,
    ApiPath(id): ApiPath<BookId>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Response> {
    let limit = params.limit()?;
    if show(&catalog, &[id]).await?.0.is_empty() {
        return Err(Problem::not_found("book"));
    }
    let search = &catalog.search;
    let like = if search.is_whole() {
        let find = async {
            let like = search.ask(move |index| index.more_like(id.uuid(), limit, &[])).await.unwrap_or_default();
            like.into_iter().map(|book| BookId::from_uuid(book.id)).collect()
        };
        catalog.cache.alike(id, limit, find).await
    } else {
        Arc::default()
    };
    let ids =
        if like.is_empty() { find::similar(catalog.db.read(), id.uuid(), limit as i64).await?.into() } else { like };
    let (items, shown) = show(&catalog, &ids).await?;
    fresh(&Shown { items, next: None }, shown.into_iter().chain([id]))
}

/// These books as JSON, in this order, as far as they are on sale.
pub(super) async fn show(catalog: &Arc<Catalog>, ids: &[BookId]) -> Result<(Vec<Arc<RawValue>>, Vec<BookId>)> {
    let rows = catalog.cache.shown(catalog.db.read(), ids).await?;
    let on_sale = ids.iter().filter_map(|id| Some((rows.get(id)?.clone(), *id)));
    Ok(on_sale.unzip())
}
