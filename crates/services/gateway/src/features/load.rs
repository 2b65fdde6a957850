//! How much at once, and how long.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bookworm_http::Problem;
use bookworm_kernel::ErrorCode;
use tokio::sync::Semaphore;

/// Places for requests that are answered at once.
#[derive(Clone)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// This many places.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }
}

/// Connections of hubs: a poll hangs until there is something to tell. Hubs have limits of their own.
pub const LONG: &str = "/hubs/";

fn is_long(request: &Request) -> bool {
    request.uri().path().starts_with(LONG)
}

/// Refuses at once with 503 when every place is taken: an answer now is better than a queue that grows.
pub async fn shed(State(slots): State<Slots>, request: Request, next: Next) -> Response {
    if is_long(&request) {
        return next.run(request).await;
    }
    let Ok(_place) = slots.0.try_acquire() else {
        metrics::counter!("gateway_shed_total").increment(1);
        return Problem::new(ErrorCode::Unavailable)
            .detail("The shop is very busy. Please try again in a moment.")
            .retry_after(Duration::from_secs(1))
            .into_response();
    };
    next.run(request).await
}

/// Gives up after `limit` with 504 `timeout`. What was begun may still happen; a request with an `Idempotency-Key` can
/// be repeated safely.
pub async fn time_limit(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    if is_long(&request) {
        return next.run(request).await;
    }
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(ErrorCode::Timeout)
            .detail(format!("There was no answer within {} seconds.", limit.as_secs()))
            .into_response(),
    }
}
