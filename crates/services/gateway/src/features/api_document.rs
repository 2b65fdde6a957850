//! The API's document (OpenAPI 3.1) and the page to browse it.

use axum::{Router, response::Redirect, routing::get};
use bytes::Bytes;
use http::header;
use serde_json::Value;
use utoipa::{
    OpenApi as _,
    openapi::{
        InfoBuilder, LicenseBuilder, OpenApi, ServerBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::api_answers;

/// Types that handlers name only inside others, so that the generator does not see them.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(
    bookworm_contracts::rest::catalog::BookSort,
    bookworm_http::ProblemBody,
    bookworm_kernel::AuthorId,
    bookworm_kernel::BookId,
    bookworm_kernel::CustomerId,
    bookworm_kernel::FieldError,
    bookworm_kernel::MessageId,
    bookworm_kernel::OrderId,
    bookworm_kernel::PaymentId,
    bookworm_kernel::PublisherId,
    bookworm_kernel::SubjectId,
    bookworm_kernel::Currency,
    bookworm_kernel::Email,
    bookworm_kernel::Isbn13,
    bookworm_kernel::Money,
    bookworm_kernel::Quantity,
    bookworm_kernel::Timestamp,
)))]
struct Shared;

/// Completes the document that the services' handlers describe.
fn complete(mut document: OpenApi) -> Value {
    document.info = InfoBuilder::new()
        .title("BookWorm")
        .version("1")
        .description(Some(
            "The bookstore's public API. Money is in minor units of its currency; times are RFC 3339 in UTC; errors \
             are problem details (RFC 9457) with a stable `code`; lists have a `next` cursor. A token names an account \
             and its roles; an operation's `security` names those that it demands, of which `admin` has all.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build()))
        .build();
    document.servers = Some(vec![ServerBuilder::new().url("/api/v1").build()]);
    document.merge(Shared::openapi());
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    let mut document = serde_json::to_value(document).unwrap_or_default();
    api_answers::describe(&mut document);
    document
}

/// `GET /openapi.json` and `GET /docs` below the API's prefix.
pub fn routes(document: OpenApi) -> Router {
    // One copy for all: whoever asks for it many times and reads slowly holds no memory.
    let json = Bytes::from(complete(document).to_string());
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json.clone()) }),
        )
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
}

/// The page itself, and the document's short address.
pub fn pages() -> Router {
    let config = Config::from("/api/v1/openapi.json").try_it_out_enabled(true).persist_authorization(true);
    Router::new()
        .route("/openapi.json", get(|| async { Redirect::permanent("/api/v1/openapi.json") }))
        .merge(SwaggerUi::new("/docs").config(config))
}
