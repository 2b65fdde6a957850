use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::OrderEvent};
use bookworm_eventstore::Recorded;
use bookworm_http::{ApiJson, ApiPath, ApiQuery, PageParams, Result, cursor, openapi::ProblemResponses};
use bookworm_kernel::OrderId;

use crate::{OrderingService, visitor::Visitor};

/// What happened to an order
///
/// Every event as it was stored, oldest first, with the request it belongs to and what directly led to it. For those who
/// may see the order.
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
    State(service): State<OrderingService>,
    ApiPath(id): ApiPath<OrderId>,
    ApiQuery(page): ApiQuery<PageParams>,
    visitor: Visitor,
) -> Result<ApiJson<Page<OrderEvent>>> {
    visitor.find(&service, id).await?;
    let (limit, after) = (page.limit()?, page.after::<u64>()?.unwrap_or(0));
    // An order has a handful of events, so they are read together.
    let history = bookworm_eventstore::history(service.0.db.read(), id.uuid()).await?;
    let events: Vec<_> = history.into_iter().filter(|event| event.version > after).take(limit + 1).map(shown).collect();
    let (items, next) = cursor::page(events, limit, |event| event.version);
    Ok(ApiJson(Page { items, next }))
}

fn shown(event: Recorded) -> OrderEvent {
    OrderEvent {
        version: event.version,
        kind: event.kind,
        at: event.at,
        data: event.data,
        correlation_id: event.correlation_id,
        causation_id: event.causation_id,
    }
}
