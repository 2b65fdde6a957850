//! One file for each use case: request, rule, storage call and route together.

pub(crate) mod adjust_stock;
mod edit_book;
mod edit_synonyms;
pub(crate) mod get_offers;
pub(crate) mod import_file;
mod list_books;
mod manage_names;
mod merge_authors;
mod read_book;
mod recommend;
mod search_books;
mod search_status;
mod similar_books;
mod suggest;
mod view_book;

use std::{cell::RefCell, sync::Arc};

use axum::{
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
};
use bookworm_http::{Problem, etag};
use bookworm_kernel::BookId;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    cache::{Answer, Lookup},
    service::Catalog,
};

pub(crate) fn routes() -> OpenApiRouter<Arc<Catalog>> {
    OpenApiRouter::new()
        .routes(routes!(list_books::list_books, edit_book::create_book))
        .routes(routes!(read_book::get_book, edit_book::update_book, edit_book::delete_book))
        .routes(routes!(read_book::get_book_by_isbn))
        .routes(routes!(similar_books::similar_books))
        .routes(routes!(adjust_stock::get_stock))
        .routes(routes!(adjust_stock::adjust_stock))
        .routes(routes!(search_books::search_books))
        .routes(routes!(suggest::suggest))
        .routes(routes!(edit_synonyms::get_synonyms, edit_synonyms::put_synonyms))
        .routes(routes!(merge_authors::author_doubles))
        .routes(routes!(merge_authors::merge_author))
        .routes(routes!(merge_authors::split_author))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(import_file::list_imports, import_file::upload_import))
                .layer(DefaultBodyLimit::max(import_file::LARGEST)),
        )
        .routes(routes!(import_file::get_import, import_file::delete_import))
        .routes(routes!(import_file::map_import))
        .routes(routes!(import_file::start_import))
        .routes(routes!(import_file::cancel_import))
        .routes(routes!(import_file::import_report))
        .routes(routes!(search_status::search_status))
        .routes(routes!(recommend::recommend))
        .routes(routes!(view_book::view_book))
        .routes(routes!(manage_names::authors::list, manage_names::authors::create))
        .routes(routes!(manage_names::authors::get, manage_names::authors::rename, manage_names::authors::delete))
        .routes(routes!(manage_names::publishers::list, manage_names::publishers::create))
        .routes(routes!(
            manage_names::publishers::get,
            manage_names::publishers::rename,
            manage_names::publishers::delete
        ))
        .routes(routes!(manage_names::subjects::list, manage_names::subjects::create))
        .routes(routes!(manage_names::subjects::get, manage_names::subjects::rename, manage_names::subjects::delete))
}

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Names the books that an answer shows, so that who caches it knows when to ask again.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// What is left of a buffer for JSON at most: a page of books takes some 40 kB.
const BUFFER: usize = 256 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// As JSON, in memory of just that size: whoever caches the answer takes no more, and nothing is copied while it grows.
fn json<T: Serialize>(body: &T) -> Result<Bytes, Problem> {
    BUFFERS.with_borrow_mut(|buffer| {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, body).map_err(|error| Problem::internal(&error))?;
        let json = Bytes::copy_from_slice(buffer);
        buffer.shrink_to(BUFFER);
        Ok(json)
    })
}

/// JSON that others may cache until one of these books changes.
fn fresh<T: Serialize>(body: &T, books: impl IntoIterator<Item = BookId>) -> Result<Response, Problem> {
    let mut response = (StatusCode::OK, json(body)?).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let keys: Vec<String> = books.into_iter().map(|book| book.to_string()).collect();
    if let Ok(keys) = HeaderValue::try_from(keys.join(" ")) {
        headers.insert(SURROGATE_KEY, keys);
    }
    Ok(response)
}

fn answer<T: Serialize>(version: i64, body: &T) -> Result<Answer, Problem> {
    Ok(Answer { version, body: json(body)? })
}

/// An answer as it is sent: a book with its `ETag`, a list without.
fn send((answer, lookup): (Answer, Lookup)) -> Response {
    let status = match lookup {
        Lookup::Hit => HeaderValue::from_static("catalog; hit"),
        Lookup::Miss => HeaderValue::from_static("catalog; fwd=miss"),
    };
    let mut response = (StatusCode::OK, answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_STATUS, status);
    if answer.version > 0 {
        headers.insert(header::ETAG, etag(answer.version));
    }
    response
}
