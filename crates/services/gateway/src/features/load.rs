//! Limits on requests at once, and on their time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bookworm_http::{
    Next, Problem,
    places::{Full, Places},
};
use bookworm_kernel::ErrorCode;
use bookworm_resilience::Deadline;
use http::header;

use super::client_address::Client;

/// Slots for requests that are handled at once.
#[derive(Clone)]
pub struct Slots(Arc<Places>);

impl Slots {
    /// This many slots; `shared`: no client gets more than its share of them.
    pub fn new(places: usize, shared: bool) -> Self {
        Self(Places::new(places, if shared { places.saturating_sub(1).max(1) } else { places }))
    }
}

/// Connections of hubs: a poll hangs until there is an event. Hubs have limits of their own.
pub const LONG: &str = "/hubs/";

fn is_long(request: &Request) -> bool {
    request.uri().path().starts_with(LONG)
}

/// Refuses immediately when every slot is taken (503), or the client's share of them (429): load shedding is better than
/// a growing queue. A request has its slot while its body arrives, which is bounded by a minimum rate
/// ([`bookworm_http::serve()`]): a slow client uses up its own share.
pub async fn shed(State(slots): State<Slots>, request: Request, next: Next) -> Response {
    if is_long(&request) {
        return next.run(request).await;
    }
    let client: Option<IpAddr> = request.extensions().get::<Client>().map(|client| client.0);
    let full = match slots.0.take(client) {
        Ok(_place) => return next.run(request).await,
        Err(full) => full,
    };
    metrics::counter!("gateway_shed_total", "reason" => full.name()).increment(1);
    let problem = match full {
        Full::All => {
            Problem::new(ErrorCode::Unavailable).detail("The shop is very busy. Please try again in a moment.")
        }
        Full::Address => Problem::new(ErrorCode::TooManyRequests)
            .detail("Too many of your requests are being answered. Please wait for them."),
    };
    problem.retry_after(Duration::from_secs(1)).into_response()
}

/// The least rate at which a large body may arrive, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// The largest body that gets extra time: an uploaded file of 16 MiB, and its envelope.
const LARGEST: u64 = 17 << 20;

/// The extra time for the body to arrive.
fn for_body(request: &Request) -> Duration {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Duration::from_secs(length.unwrap_or(0).min(LARGEST) / SLOWEST)
}

/// Times out after `limit` with 504 `timeout`; a request with a large `Content-Length` has longer, for its body to
/// arrive. What was begun may still happen; a request with an `Idempotency-Key` can be repeated safely.
pub async fn time_limit(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    if is_long(&request) {
        return next.run(request).await;
    }
    let limit = limit + for_body(&request);
    match tokio::time::timeout(limit, Deadline::after(limit).scope(next.run(request))).await {
        Ok(response) => response,
        Err(_) => Problem::new(ErrorCode::Timeout)
            .detail(format!("There was no answer within {} seconds.", limit.as_secs()))
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_that_is_said_to_be_large_has_longer() {
        for (length, seconds) in
            [("", 0), ("100", 0), ("262144", 4), ("16777216", 256), ("99999999999", 272), ("-1", 0), ("x", 0)]
        {
            let request = Request::post("/").header(header::CONTENT_LENGTH, length).body(axum::body::Body::empty());
            let request = request.unwrap_or_default();
            assert_eq!(for_body(&request), Duration::from_secs(seconds), "{length}");
        }
    }
}
