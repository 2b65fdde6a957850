use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::OrderEvent};
use bookworm_eventstore::Recorded;
use bookworm_http::{ApiJson, ApiPath, ApiQuery, PageParams, Result, cursor, openapi::ProblemResponses};
use bookworm_kernel::OrderId;
use serde_json::Value;

use super::shown;
use crate::{
    domain::event::Author,
    service::Ordering,
    visitor::{Access, Visitor},
};

/// What happened to an order
///
/// Every event as it was stored, oldest first, with the request it belongs to and what directly led to it. For those who
/// may see the order; staff also see which account caused each.
#[utoipa::path(
    get, path = "/orders/{id}/events", tag = "ordering",
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("key" = Option<String>, Query, description = "The order's key, from the mail"),
        PageParams
    ),
    responses((status = 200, description = "A page of events", body = Page<OrderEvent>), ProblemResponses)
)]
pub(crate) async fn order_events(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    ApiQuery(page): ApiQuery<PageParams>,
    visitor: Visitor,
) -> Result<ApiJson<Page<OrderEvent>>> {
    let access = visitor.find(&service, id).await?;
    let (limit, after) = (page.limit()?, page.after::<u64>()?.unwrap_or(0));
    // An order has a handful of events, so they are read together.
    let history = bookworm_eventstore::history(service.db.read(), id.uuid()).await?;
    let events: Vec<_> = history
        .into_iter()
        .filter(|event| event.version > after)
        .take(limit + 1)
        .map(|event| show(event, access))
        .collect();
    let (items, next) = cursor::page(events, limit, |event| event.version);
    Ok(ApiJson(Page { items, next }))
}

/// Customers see that staff acted, not who of them.
fn show(event: Recorded, access: Access) -> OrderEvent {
    let by =
        event.metadata.filter(|_| access == Access::Staff).and_then(|mut noted| noted.get_mut("by").map(Value::take));
    let by: Option<Author> = by.and_then(|by| serde_json::from_value(by).ok());
    OrderEvent {
        by: by.map(shown::author),
        version: event.version,
        kind: event.kind,
        at: event.at,
        data: event.data,
        correlation_id: event.correlation_id,
        causation_id: event.causation_id,
    }
}
