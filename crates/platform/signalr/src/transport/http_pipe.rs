//! Two buffers between HTTP requests and a session: what was posted, and what the response is to carry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::server_sent_events;
use crate::connection::lock;
use crate::options::Options;

/// The HTTP side of a connection that is no WebSocket.
pub(crate) struct HttpPipe {
    state: Mutex<State>,
    receive_limit: usize,
    send_limit: usize,
    /// There is room for what is posted.
    room: Notify,
    /// There is something to carry, or the reader changed.
    ready: Notify,
    /// Posts are taken one after another.
    pub posting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    incoming: VecDeque<Bytes>,
    incoming_bytes: usize,
    outgoing: BytesMut,
    events: bool,
    ended: bool,
    reader: u64,
}

/// The session took what was posted, or is gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Data(Bytes),
    Ended,
    /// Another reader took over.
    Replaced,
}

impl HttpPipe {
    pub fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            receive_limit: options.receive_buffer_size,
            send_limit: options.transport_buffer_size,
            room: Notify::new(),
            ready: Notify::new(),
            posting: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// From now on what is written is framed as events.
    pub fn become_event_stream(&self) {
        self.state().events = true;
    }

    pub fn is_event_stream(&self) -> bool {
        self.state().events
    }

    /// Hands bytes to the session, after waiting for room; `put` is called when they are in.
    pub async fn put_incoming(&self, bytes: Bytes, put: impl Fn()) -> Result<(), Gone> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.ended {
                    return Err(Gone);
                }
                if state.incoming_bytes == 0 || state.incoming_bytes + bytes.len() <= self.receive_limit {
                    state.incoming_bytes += bytes.len();
                    state.incoming.push_back(bytes);
                    drop(state);
                    put();
                    return Ok(());
                }
            }
            room.await;
        }
    }

    pub fn take_incoming(&self) -> Option<Bytes> {
        let mut state = self.state();
        let bytes = state.incoming.pop_front()?;
        state.incoming_bytes -= bytes.len();
        drop(state);
        self.room.notify_waiters();
        Some(bytes)
    }

    pub fn has_room(&self) -> bool {
        self.state().outgoing.len() < self.send_limit
    }

    /// Whether all that was written was taken.
    pub fn is_read(&self) -> bool {
        self.state().outgoing.is_empty()
    }

    pub fn put_outgoing(&self, messages: &[u8]) {
        let mut state = self.state();
        if state.events {
            server_sent_events::write_event(&mut state.outgoing, messages);
        } else {
            state.outgoing.extend_from_slice(messages);
        }
        drop(state);
        self.ready.notify_waiters();
    }

    /// Nothing more is written; what is there can still be read.
    pub fn end(&self) {
        self.state().ended = true;
        self.ready.notify_waiters();
        self.room.notify_waiters();
    }

    /// The number of a new reader; the one before gets [`Taken::Replaced`].
    pub fn new_reader(&self) -> u64 {
        let mut state = self.state();
        state.reader += 1;
        let reader = state.reader;
        drop(state);
        self.ready.notify_waiters();
        reader
    }

    /// Waits for bytes, and takes all that are there. Dropped while it waits, it took nothing.
    pub async fn take_outgoing(&self, reader: u64) -> Taken {
        loop {
            let ready = self.ready.notified();
            {
                let mut state = self.state();
                if state.reader != reader {
                    return Taken::Replaced;
                }
                if !state.outgoing.is_empty() {
                    return Taken::Data(std::mem::take(&mut state.outgoing).freeze());
                }
                if state.ended {
                    return Taken::Ended;
                }
            }
            ready.await;
        }
    }

    /// Whether this reader is the current one.
    pub fn is_reader(&self, reader: u64) -> bool {
        self.state().reader == reader
    }
}

/// Signals the session when its reader is gone.
pub(crate) struct ReaderGuard<F: Fn()> {
    pub gone: F,
}

impl<F: Fn()> Drop for ReaderGuard<F> {
    fn drop(&mut self) {
        (self.gone)();
    }
}

/// A pipe with many handles.
pub(crate) type SharedPipe = Arc<HttpPipe>;
