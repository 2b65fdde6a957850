//! The way into the internal listener.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
};
use bookworm_http::{Next, Problem, grpc::to_status};
use bookworm_kernel::ErrorCode;
use bookworm_resilience::Deadline;
use http::header;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::{
    FleetToken, HEADER, Refusal,
    headers::{read_time_left, remove_internal},
};

/// How often the log says that requests are refused.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// How much of a refused question is read, in bytes, and for how long.
const SKIPPED_AT_MOST: usize = 64 * 1024;
const SKIPPED_WITHIN: Duration = Duration::from_secs(1);

/// What the layer [`gate`] needs.
pub struct Gate {
    token: Arc<FleetToken>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    last: Option<Instant>,
    /// Since the last line.
    refused: u64,
}

impl Gate {
    /// Lets in what this token vouches for.
    #[must_use]
    pub fn new(token: Arc<FleetToken>) -> Arc<Self> {
        Arc::new(Self { token, log: Mutex::default() })
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let mut passes = request.headers().get_all(HEADER).iter();
        match (passes.next(), passes.next()) {
            (Some(pass), None) => self.token.check(pass, request.method(), request.uri()),
            _ => Err(Refusal::Missing),
        }
    }

    fn refuse(&self, request: &http::request::Parts, refusal: Refusal) -> Response {
        metrics::counter!("fleet_requests_refused_total", "reason" => refusal.name()).increment(1);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.refused += 1;
        if log.last.is_none_or(|last| last.elapsed() >= LOGGED_EVERY) {
            let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.to_string());
            tracing::warn!(
                peer = peer.as_deref().unwrap_or("?"),
                reason = %refusal,
                refused = log.refused,
                "requests to the internal listener are refused"
            );
            *log = Log { last: Some(Instant::now()), refused: 0 };
        }
        drop(log);
        let problem = Problem::new(ErrorCode::Unauthenticated).detail("Only processes of this shop may ask here.");
        let grpc = request
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if grpc { to_status(&problem).into_http() } else { problem.into_response() }
    }
}

/// Reads a little of a question that is refused, and forgets it. HTTP/2 resets the stream of one that was not read, and a
/// caller who is still writing it then sees the reset in place of the answer.
async fn skip(mut body: Body) {
    let read = async {
        let mut left = SKIPPED_AT_MOST;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    };
    // Whoever writes slowly is refused all the same.
    let _ = tokio::time::timeout(SKIPPED_WITHIN, read).await;
}

/// Lets a request of the same fleet through, with the time that its sender has left; answers others with 401
/// `unauthenticated`, and looks at nothing else of them.
pub async fn gate(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    if let Err(refusal) = gate.check(&request) {
        let (head, body) = request.into_parts();
        skip(body).await;
        return gate.refuse(&head, refusal);
    }
    let left = read_time_left(request.headers());
    remove_internal(request.headers_mut());
    match left {
        Some(left) => Deadline::after(left).scope(next.run(request)).await,
        None => next.run(request).await,
    }
}
