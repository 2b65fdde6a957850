//! WebSockets: one text or binary frame carries any number of messages.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::Bytes;
use futures::{Sink as _, Stream as _, StreamExt as _};

use super::{Broken, Received};
use crate::options::Options;

/// The read buffer of an idle connection. Larger frames grow it while they are read.
const READ_BUFFER: usize = 4 * 1024;

/// A WebSocket.
pub(crate) struct WebSocketWire {
    socket: WebSocket,
    /// Whether frames are binary: as set, or until then as the last frame received.
    binary: bool,
    settled: bool,
    flushing: bool,
}

/// The buffers and limits of a socket that is about to be.
pub(crate) fn configure(upgrade: WebSocketUpgrade, options: &Options) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_frame_size(options.maximum_frame_size)
        .max_message_size(options.maximum_frame_size)
}

impl WebSocketWire {
    pub fn new(socket: WebSocket) -> Self {
        Self { socket, binary: false, settled: false, flushing: false }
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => {
                    self.note_frame(false);
                    Received::Data(text.into())
                }
                Some(Ok(Message::Binary(bytes))) => {
                    self.note_frame(true);
                    Received::Data(bytes)
                }
                // The library answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_))) => Received::Closed,
                Some(Err(error)) if error.to_string().contains("too long") => Received::TooLarge,
                Some(Err(_)) | None => Received::Lost,
            });
        }
    }

    pub fn set_binary(&mut self, binary: bool) {
        (self.binary, self.settled) = (binary, true);
    }

    fn note_frame(&mut self, binary: bool) {
        if !self.settled {
            self.binary = binary;
        }
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.flushing {
            ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(|_| Broken)?;
            self.flushing = false;
        }
        Pin::new(&mut self.socket).poll_ready(cx).map_err(|_| Broken)
    }

    pub fn is_flushed(&self) -> bool {
        !self.flushing
    }

    pub fn start_send(&mut self, messages: Bytes) -> Result<(), Broken> {
        let frame = if self.binary {
            Message::Binary(messages)
        } else {
            Message::Text(Utf8Bytes::try_from(messages).map_err(|_| Broken)?)
        };
        self.flushing = true;
        Pin::new(&mut self.socket).start_send(frame).map_err(|_| Broken)
    }

    pub async fn close(&mut self) {
        let frame = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::from_static("") };
        // When the peer was first, reading on sends the answer.
        let _ = self.socket.send(Message::Close(Some(frame))).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
