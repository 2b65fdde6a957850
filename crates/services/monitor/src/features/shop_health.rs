//! The whole shop, for staff: how it is, and when that was looked at anew.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::sse::{Event, Sse},
};
use bookworm_contracts::rest::operations::ShopHealth;
use bookworm_http::{Problem, Result, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::ErrorCode;
use futures::{Stream, stream::unfold};
use http::HeaderMap;
use tokio::time::{Instant, timeout};

use crate::service::Monitor;

/// How long somebody waits for the first look after a start.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How long a stream lasts: then whoever reads it comes again, with a token of now. No longer, so that no process between
/// waits for it when it stops.
const STREAM: Duration = Duration::from_secs(30);
/// After which pause it comes again.
const AGAIN: Duration = Duration::from_millis(500);
/// The header with the id of the event that the reader had last.
const LAST_EVENT: &str = "last-event-id";

/// How the whole shop is: every process, its checks, figures and errors. Staff.
///
/// As the monitor saw it at its last look, fifteen seconds ago at most.
#[utoipa::path(
    get,
    path = "/admin/health/shop",
    tag = "operations",
    responses((status = 200, description = "How the shop is", body = ShopHealth), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn shop_health(_: StaffOnly, State(monitor): State<Arc<Monitor>>) -> Result<Json<ShopHealth>> {
    let mut shown = monitor.shown.subscribe();
    let found = timeout(FIRST_LOOK, shown.wait_for(Option::is_some)).await;
    match found.ok().and_then(std::result::Result::ok).and_then(|shown| shown.as_deref().cloned()) {
        Some(health) => Ok(Json(health)),
        None => Err(Problem::new(ErrorCode::Unavailable).detail("The monitor has not looked yet.")),
    }
}

/// Says when the shop was looked at anew, as server-sent events. Staff.
///
/// Each event is named `look`; its id and its data are the time of the look. The stream ends after half a minute, and when
/// the process that answers it stops: connect again, with `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/admin/health/events",
    tag = "operations",
    responses(
        (status = 200, description = "An event for each look", body = String, content_type = "text/event-stream"),
        ProblemResponses
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn shop_health_events(
    _: StaffOnly,
    State(monitor): State<Arc<Monitor>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>>> {
    let (mut shown, stopping) = (monitor.shown.subscribe(), monitor.stopping.clone());
    let end = Instant::now() + STREAM;
    let last = headers.get(LAST_EVENT).and_then(|id| id.to_str().ok());
    let latest = shown.borrow_and_update().as_ref().map(|health| health.at.to_string());
    if last.is_some() && latest.as_deref() != last {
        shown.mark_changed();
    }
    let events = unfold((shown, stopping), move |(mut shown, stopping)| async move {
        let changed = tokio::select! {
            changed = shown.changed() => changed.is_ok(),
            () = stopping.cancelled() => false,
            () = tokio::time::sleep_until(end) => false,
        };
        let at = shown.borrow_and_update().as_ref().map(|health| health.at.to_string()).unwrap_or_default();
        let event = changed.then(|| Event::default().event("look").retry(AGAIN).id(&at).data(&at))?;
        Some((Ok(event), (shown, stopping)))
    });
    Sse::new(events)
}
