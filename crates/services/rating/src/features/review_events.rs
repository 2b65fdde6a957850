use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{
    Page,
    rating::{ReviewActor, ReviewEvent},
};
use bookworm_eventstore::Recorded;
use bookworm_http::{
    ApiJson, ApiPath, ApiQuery, PageParams, Problem, Result, auth::Caller, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::{CorrelationId, CustomerId};
use serde::Deserialize;
use uuid::Uuid;

use super::{read_review::find, shown::Viewer};
use crate::service::Ratings;

/// What was noted beside an event.
#[derive(Deserialize)]
struct Noted {
    by: ReviewActor,
    account: Option<CustomerId>,
}

/// What happened to a review, oldest first
///
/// Every decision with who, when and why. For its author and for staff; only staff see which account it was.
#[utoipa::path(
    get, path = "/reviews/{id}/events", tag = "rating",
    params(("id" = Uuid, Path, description = "The review"), PageParams),
    responses((status = 200, description = "A page of events", body = Page<ReviewEvent>), ProblemResponses)
)]
pub(crate) async fn review_events(
    State(service): State<Arc<Ratings>>,
    caller: Caller,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(page): ApiQuery<PageParams>,
) -> Result<ApiJson<Page<ReviewEvent>>> {
    let viewer = Viewer::from(&caller);
    let row = find(&service, id, viewer).await?;
    if !viewer.sees_standing_of(&row) {
        return Err(Problem::not_found("review"));
    }
    let (limit, after) = (page.limit()?, page.after::<u64>()?.unwrap_or(0));
    let history = bookworm_eventstore::history(service.db.read(), id).await?;
    let events = history.into_iter().filter(|event| event.version > after).take(limit + 1);
    let events: Vec<_> = events.map(|event| show(event, viewer)).collect();
    let (items, next) = cursor::page(events, limit, |event| event.version);
    Ok(ApiJson(Page { items, next }))
}

fn show(event: Recorded, viewer: Viewer) -> ReviewEvent {
    let noted: Option<Noted> = event.metadata.and_then(|noted| serde_json::from_value(noted).ok());
    let reason = event.data.get("reason").and_then(serde_json::Value::as_str).filter(|reason| !reason.is_empty());
    ReviewEvent {
        version: event.version,
        kind: event.kind,
        at: event.at,
        by: noted.as_ref().map_or(ReviewActor::Shop, |noted| noted.by),
        account: noted.and_then(|noted| noted.account).filter(|_| viewer == Viewer::Staff),
        reason: reason.map(str::to_owned),
        correlation_id: CorrelationId::from_uuid(event.correlation_id),
    }
}
