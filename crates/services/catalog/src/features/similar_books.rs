use axum::{extract::State, response::Response};
use bookworm_contracts::rest::{Page, catalog::Book};
use bookworm_http::{ApiPath, ApiQuery, PageParams, Problem, ProblemBody, Result};
use bookworm_kernel::BookId;

use super::{answer, send};
use crate::{
    CatalogService,
    store::{books, find},
};

/// Books that share authors and subjects with this one, those that share most first. A rare subject counts more than a
/// common one. One page only.
#[utoipa::path(get, path = "/books/{id}/similar", tag = "catalog",
    params(("id" = BookId, Path, description = "The book"),
        ("limit" = Option<u32>, Query, description = "1 to 100; 20 when left out")),
    responses(
        (status = 200, body = Page<Book>, description = "`next` is always null"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/limit`"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ))]
pub(crate) async fn similar_books(
    State(catalog): State<CatalogService>,
    ApiPath(id): ApiPath<BookId>,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Response> {
    let limit = params.limit()?;
    let found = catalog.0.cache.list(format!("similar {id} {limit}"), async {
        let db = catalog.0.db.read();
        books::by_id(db, id).await?.ok_or_else(|| Problem::not_found("book"))?;
        let rows = find::similar(db, id.uuid(), limit as i64).await?;
        let items = rows.into_iter().map(books::BookRow::into_book).collect::<Result<Vec<Book>, _>>()?;
        answer(0, &Page { items, next: None })
    });
    Ok(send(found.await?))
}
