//! Scripts, styles, fonts and icons: in the program itself, under names that change with their content.

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{WebService, pages::info, service::Web};

/// A file of the bundle.
pub(crate) struct Asset {
    file: &'static str,
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// Empty for what is compressed already.
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

const FAVICON: &str = include_str!("../assets/favicon.svg");

/// Everything that is the same for everybody.
pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route(WebService::ASSETS, get(asset))
        .route("/favicon.svg", get(favicon))
        .route("/covers/{file}", get(crate::cover::show))
        .route("/robots.txt", get(info::robots))
        .route("/site.webmanifest", get(info::manifest))
}

/// Where a file of the bundle is, by the name that `web/build.mjs` gives it.
pub(crate) fn path(file: &str) -> &'static str {
    static PATHS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let paths = PATHS.get_or_init(|| BUNDLE.iter().map(|asset| format!("/assets/{}", asset.name)).collect());
    let place = BUNDLE.iter().position(|asset| asset.file == file);
    debug_assert!(place.is_some(), "{file} is not among the files of build.rs");
    place.and_then(|place| paths.get(place)).map_or("", String::as_str)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = BUNDLE.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let unpacks = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.split(',').any(|coding| coding.trim().starts_with("gzip")));
    let common = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CACHE_CONTROL, FOREVER),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if unpacks && !asset.gzip.is_empty() {
        (common, [(header::CONTENT_ENCODING, "gzip")], asset.gzip).into_response()
    } else {
        (common, asset.bytes).into_response()
    }
}

async fn favicon() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")), (header::CACHE_CONTROL, FOR_A_DAY)], FAVICON)
        .into_response()
}
