use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::ordering::Order as Shown;
use bookworm_eventstore::Loaded;
use bookworm_http::{ApiPath, ApiQuery, Problem, Result, if_none_match, not_modified, openapi::ProblemResponses};
use bookworm_kernel::{OrderId, Timestamp};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::{domain::order::Order, service::Ordering, store::document::Document, visitor::Visitor};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// Show the order as it was at this instant (RFC 3339).
    #[serde(default)]
    as_of: Option<Timestamp>,
}

/// An order
///
/// For its customer, for staff, and for whoever has its key (`?key=` or the header `Order-Key`); to everybody else it
/// does not exist. `as_of` folds only what had happened by then; `not_found` before it was placed.
#[utoipa::path(
    get, path = "/orders/{id}", tag = "ordering",
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("key" = Option<String>, Query, description = "The order's key, from the mail"),
        Params
    ),
    responses(
        (status = 200, description = "The order, with its version as `ETag`", body = Shown),
        (status = 304, description = "Not changed since the version in `If-None-Match`"),
        ProblemResponses
    )
)]
pub(crate) async fn get_order(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    ApiQuery(params): ApiQuery<Params>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response> {
    let access = visitor.find(&service, id).await?;
    let db = service.db.read();
    let found: Option<Loaded<Order>> = match params.as_of {
        None => bookworm_eventstore::load(db, id.uuid()).await?,
        Some(at) => bookworm_eventstore::load_as_of(db, id.uuid(), at).await?,
    };
    let found = found.and_then(|found| Document::of(&found.state, found.version));
    let mut order = access.reveal(&service, found.ok_or_else(|| Problem::not_found("order at that time"))?);
    if params.as_of.is_some() {
        // Nothing can be done to the past.
        order.actions = None;
    }
    let version = order.version.cast_signed();
    if if_none_match(&headers, version) {
        return Ok(not_modified(version));
    }
    Ok(super::answer(StatusCode::OK, order))
}
