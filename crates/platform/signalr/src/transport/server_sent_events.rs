//! Server-Sent Events: one response that does not end, an event for each write.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::http_pipe::{ReaderGuard, SharedPipe, Taken};
use crate::connection::{Connection, Signal};

/// Opens the stream at once, so that the client knows that it is there.
const OPENING: &[u8] = b":\r\n";

/// Writes whole messages as one event. Line feeds would end a field: each line gets its own.
pub(crate) fn write_event(out: &mut BytesMut, messages: &[u8]) {
    for line in messages.split(|&byte| byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The response of a connection; when it is dropped, the reader is gone.
pub(crate) fn respond(connection: Arc<Connection>, pipe: SharedPipe) -> Response {
    let reader = pipe.new_reader();
    let guarded = Arc::clone(&connection);
    let guard = ReaderGuard { gone: move || guarded.signal(Signal::ReaderGone) };
    let events = futures::stream::unfold((connection, pipe, guard), move |(connection, pipe, guard)| async move {
        match pipe.take_outgoing(reader).await {
            Taken::Data(data) => {
                connection.waker.wake();
                Some((Ok::<_, Infallible>(data), (connection, pipe, guard)))
            }
            Taken::Ended | Taken::Replaced => None,
        }
    });
    let opening = futures::stream::once(async { Ok(Bytes::from_static(OPENING)) });
    let mut response = Response::new(Body::from_stream(opening.chain(events)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert("X-Accel-Buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_message_is_a_field() {
        let mut out = BytesMut::new();
        write_event(&mut out, b"{}\x1e");
        write_event(&mut out, b"a\r\nb\n");
        assert_eq!(out, "data: {}\u{1e}\r\n\r\ndata: a\r\ndata: b\r\ndata: \r\n\r\n");
    }
}
