use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::Book;
use bookworm_http::{ApiPath, Problem, ProblemBody, Result, if_none_match, not_modified};
use bookworm_kernel::{BookId, FieldError, Isbn13};
use http::HeaderMap;

use super::{answer, send};
use crate::{service::Catalog, store::books};

/// One book.
///
/// The `ETag` counts edits: send it as `If-None-Match` to get 304, and as `If-Match` to edit. Sales and reviews do not change it;
/// for the stock of this moment read `/books/{id}/stock`.
#[utoipa::path(get, path = "/books/{id}", tag = "catalog",
    params(("id" = BookId, Path, description = "The book")),
    responses(
        (status = 200, body = Book, description = "The book"),
        (status = 304, description = "Not edited since the version in `If-None-Match`"),
        (status = 404, body = ProblemBody, description = "`not_found`: no such book, or no longer sold"),
    ))]
pub(crate) async fn get_book(
    State(catalog): State<Arc<Catalog>>,
    ApiPath(id): ApiPath<BookId>,
    headers: HeaderMap,
) -> Result<Response> {
    read(&catalog, id, &headers).await
}

/// The book with this ISBN, of 10 or 13 digits, with hyphens or without.
#[utoipa::path(get, path = "/books/isbn/{isbn}", tag = "catalog",
    params(("isbn" = String, Path, description = "ISBN-10 or ISBN-13")),
    responses(
        (status = 200, body = Book, description = "The book"),
        (status = 304, description = "Not edited since the version in `If-None-Match`"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/isbn`: not an ISBN"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
    ))]
pub(crate) async fn get_book_by_isbn(
    State(catalog): State<Arc<Catalog>>,
    ApiPath(isbn): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let isbn = Isbn13::parse(&isbn).map_err(|error| Problem::validation(vec![FieldError::new("/isbn", error)]))?;
    let id = books::by_isbn(catalog.db.read(), isbn).await?.ok_or_else(|| Problem::not_found("book"))?;
    read(&catalog, id, &headers).await
}

async fn read(catalog: &Arc<Catalog>, id: BookId, headers: &HeaderMap) -> Result<Response> {
    let found = catalog.cache.book(id, async {
        let row = books::by_id(catalog.db.read(), id).await?.ok_or_else(|| Problem::not_found("book"))?;
        answer(row.version, &row.into_book()?)
    });
    let (book, lookup) = found.await?;
    if if_none_match(headers, book.version) {
        return Ok(not_modified(book.version));
    }
    Ok(send((book, lookup)))
}
