//! `GET /covers/{book id}.svg?v={version}`

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bookworm_kernel::BookId;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{authors_of, draw, words_of};
use crate::{api::Caller, form::Query, service::Web};

/// For an address that names the version of the book: another version has another address.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For one that does not.
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// How many drawings are cached; each takes about 4 kB.
const CAPACITY: u64 = 1_000;

/// Drawings made before, by book and version.
#[derive(Clone)]
pub(crate) struct Covers(moka::sync::Cache<(BookId, i64), Bytes>);

impl Covers {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(CAPACITY))
    }
}

/// Draws the cover of a book.
pub(crate) async fn show(
    State(web): State<Web>,
    Path(file): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Response {
    let Some(id) = file.strip_suffix(".svg").and_then(|id| id.parse::<BookId>().ok()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let asked = query.get("v").parse::<i64>().ok();
    if let Some(version) = asked
        && let Some(drawing) = web.covers.0.get(&(id, version))
    {
        return picture(drawing, FOREVER);
    }
    let book = match web.api.book(&Caller::from_headers(&headers), &id.to_string()).await {
        Ok(book) => book,
        Err(error) => return error.status().into_response(),
    };
    let drawing = Bytes::from(draw(&words_of(&book, &authors_of(&book))));
    web.covers.0.insert((id, book.version), drawing.clone());
    picture(drawing, if asked == Some(book.version) { FOREVER } else { FOR_AN_HOUR })
}

fn picture(drawing: Bytes, caching: HeaderValue) -> Response {
    let kind = HeaderValue::from_static("image/svg+xml; charset=utf-8");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caching)], drawing).into_response()
}
