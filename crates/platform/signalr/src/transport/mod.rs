//! How bytes travel: one wire for each connection, whatever carries it.

pub(crate) mod http_pipe;
pub(crate) mod long_polling;
pub(crate) mod server_sent_events;
pub(crate) mod websocket;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::task::AtomicWaker;

use http_pipe::HttpPipe;
use websocket::WebSocketWire;

/// What came over a wire.
#[derive(Debug)]
pub(crate) enum Received {
    Data(Bytes),
    /// The peer closed it as it should.
    Closed,
    /// It broke.
    Lost,
    /// More at once than may come.
    TooLarge,
}

/// The wire is broken: nothing more can be written.
#[derive(Debug)]
pub(crate) struct Broken;

/// One end of a transport, owned by the connection's session.
pub(crate) enum Wire {
    WebSocket(Box<WebSocketWire>),
    Http(Arc<HttpPipe>),
}

impl Wire {
    /// The next bytes, in order.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        match self {
            Self::WebSocket(wire) => wire.poll_read(cx),
            Self::Http(pipe) => pipe.take_incoming().map_or(Poll::Pending, |data| Poll::Ready(Received::Data(data))),
        }
    }

    /// Ready when what was sent before is out of the way.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self {
            Self::WebSocket(wire) => wire.poll_flush(cx),
            Self::Http(pipe) if pipe.has_room() => Poll::Ready(Ok(())),
            Self::Http(_) => Poll::Pending,
        }
    }

    /// Whether everything written is on its way to the client.
    pub fn is_flushed(&self) -> bool {
        match self {
            Self::WebSocket(wire) => wire.is_flushed(),
            Self::Http(pipe) => pipe.is_read(),
        }
    }

    /// Writes whole messages; only when [`Wire::poll_flush`] was ready.
    pub fn start_send(&mut self, messages: Bytes) -> Result<(), Broken> {
        match self {
            Self::WebSocket(wire) => wire.start_send(messages),
            Self::Http(pipe) => {
                pipe.put_outgoing(&messages);
                Ok(())
            }
        }
    }

    /// The frames of what is sent from now on.
    pub fn set_binary(&mut self, binary: bool) {
        if let Self::WebSocket(wire) = self {
            wire.set_binary(binary);
        }
    }

    /// Whether a write that does not get through is the reader's fault. Between polls nobody reads, and that is no fault.
    pub fn can_be_stuck(&self) -> bool {
        match self {
            Self::WebSocket(_) => true,
            Self::Http(pipe) => pipe.is_event_stream(),
        }
    }

    /// Writes and waits until it is on its way. `waker` is what the other end of the wire wakes.
    pub async fn send(&mut self, messages: Bytes, waker: &AtomicWaker) -> Result<(), Broken> {
        let flush = async |wire: &mut Self| {
            std::future::poll_fn(|cx| {
                waker.register(cx.waker());
                wire.poll_flush(cx)
            })
            .await
        };
        flush(self).await?;
        self.start_send(messages)?;
        flush(self).await
    }

    /// Closes the sending side, and waits until the peer has closed its own.
    pub async fn close(&mut self) {
        match self {
            Self::WebSocket(wire) => wire.close().await,
            Self::Http(pipe) => pipe.end(),
        }
    }
}
