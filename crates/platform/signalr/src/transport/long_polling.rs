//! Long polling: one request after another waits for what there is to say.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::http_pipe::{ReaderGuard, SharedPipe, Taken};
use crate::connection::{Connection, Phase};

/// What a poll came to.
pub(crate) enum Poll {
    Respond(Response),
    /// The connection is over and everything was sent: it can be removed.
    Over(Response),
}

/// The answer to the first poll, at once: the connection is there.
pub(crate) fn started() -> Response {
    data(Bytes::new())
}

/// Waits for something to say, for at most `timeout`.
pub(crate) async fn poll(connection: &Arc<Connection>, pipe: &SharedPipe, timeout: Duration) -> Poll {
    let reader = pipe.new_reader();
    connection.set_detached(false);
    // Also when the client gives the request up, which drops this future.
    let _guard = ReaderGuard {
        gone: || {
            if pipe.is_reader(reader) {
                connection.set_detached(true);
            }
        },
    };
    match tokio::time::timeout(timeout, pipe.take_outgoing(reader)).await {
        Err(_) => Poll::Respond(data(Bytes::new())),
        Ok(Taken::Data(bytes)) => {
            connection.waker.wake();
            Poll::Respond(data(bytes))
        }
        Ok(Taken::Replaced) => Poll::Respond(no_content()),
        Ok(Taken::Ended) if connection.phase() == Phase::Ended => Poll::Over(no_content()),
        Ok(Taken::Ended) => Poll::Respond(no_content()),
    }
}

fn data(bytes: Bytes) -> Response {
    let length = bytes.len();
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    do_not_keep(headers);
    response
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    do_not_keep(response.headers_mut());
    response
}

fn do_not_keep(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
}
