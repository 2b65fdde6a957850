//! What is shared of one connection: its session's task owns the rest.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use axum::http::Extensions;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::task::AtomicWaker;
use rand::RngCore as _;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::outbox::{Outbox, Pushed};
use crate::protocol::Protocol;
use crate::request::{HttpRequest, Principal};
use crate::transport::http_pipe::HttpPipe;
use crate::transport::websocket::WebSocketWire;

/// How a connection's bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// WebSockets.
    WebSockets,
    /// Server-Sent Events and POST.
    ServerSentEvents,
    /// Long polling and POST.
    LongPolling,
}

impl TransportKind {
    /// The name in negotiation: `WebSockets`, `ServerSentEvents`, `LongPolling`.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }

    /// Whether it carries bytes that are no text.
    pub(crate) fn carries_binary(self) -> bool {
        self != Self::ServerSentEvents
    }
}

/// Signals to the session's task; each is one bit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Abort = 1 << 0,
    Shutdown = 1 << 1,
    Expired = 1 << 2,
    TooSlow = 1 << 3,
    ClientTimeout = 1 << 4,
    HandshakeTimeout = 1 << 5,
    Ping = 1 << 6,
    Acknowledge = 1 << 7,
    Resumed = 1 << 8,
    /// Nobody reads any more: the response was dropped, or no poll came.
    ReaderGone = 1 << 9,
    /// The client ended a long polling connection.
    Deleted = 1 << 10,
}

/// The life of a connection. It only goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Negotiated, no transport yet.
    Waiting = 0,
    /// A transport, and no handshake yet.
    Started = 1,
    /// Speaks.
    Open = 2,
    /// Over.
    Ended = 3,
}

pub(crate) struct Connection {
    pub id: Arc<str>,
    /// Proves who owns the connection; secret.
    pub token: Arc<str>,
    pub principal: OnceLock<Principal>,
    pub negotiated_with: OnceLock<HttpRequest>,
    pub request: OnceLock<HttpRequest>,
    pub transport: OnceLock<TransportKind>,
    pub protocol: OnceLock<Protocol>,
    pub outbox: Outbox,
    pub waker: AtomicWaker,
    /// How many non-streaming invocations run.
    pub slots: AtomicUsize,
    pub items: Mutex<Extensions>,
    pub groups: Mutex<HashSet<Arc<str>>>,
    /// How many results the client was asked for and has not sent.
    pub pending_results: AtomicUsize,
    /// Whether stateful reconnect was negotiated, and not given up since.
    pub stateful: AtomicBool,
    /// Cancelled when the connection is over.
    pub over: CancellationToken,
    pipe: OnceLock<Arc<HttpPipe>>,
    resumed_by: Mutex<Option<Box<WebSocketWire>>>,
    signals: AtomicU32,
    phase: AtomicU8,
    born: Instant,
    pub times: Times,
}

/// Milliseconds since the connection's birth, for the heartbeat. Zero: not set.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// When it entered its phase.
    pub entered: AtomicU64,
    /// When it lost its transport, or its last poll ended.
    pub since: AtomicU64,
    pub pinged: AtomicU64,
    /// When bytes came; zero until the client's first ping.
    pub received: AtomicU64,
    /// Since when a write is stuck.
    pub stuck: AtomicU64,
    /// Whether reading is paused because messages are being handled.
    pub busy: AtomicBool,
    /// Whether there is no transport at the moment.
    pub detached: AtomicBool,
}

impl Connection {
    /// `versioned`: whether the client learns a token apart from the id (negotiate version 1). `instance` stands at the
    /// token's end, behind a dot.
    pub fn new(versioned: bool, instance: Option<&str>) -> Self {
        let marked = |id: String| instance.map_or(id.clone(), |instance| format!("{id}.{instance}")).into();
        let (id, token): (Arc<str>, Arc<str>) = if versioned {
            (random_id().into(), marked(random_id()))
        } else {
            let id: Arc<str> = marked(random_id());
            (Arc::clone(&id), id)
        };
        Self {
            id,
            token,
            principal: OnceLock::new(),
            negotiated_with: OnceLock::new(),
            request: OnceLock::new(),
            transport: OnceLock::new(),
            protocol: OnceLock::new(),
            outbox: Outbox::default(),
            waker: AtomicWaker::new(),
            slots: AtomicUsize::new(0),
            items: Mutex::default(),
            groups: Mutex::default(),
            pending_results: AtomicUsize::new(0),
            stateful: AtomicBool::new(false),
            over: CancellationToken::new(),
            pipe: OnceLock::new(),
            resumed_by: Mutex::new(None),
            signals: AtomicU32::new(0),
            phase: AtomicU8::new(Phase::Waiting as u8),
            born: Instant::now(),
            times: Times::default(),
        }
    }

    /// Milliseconds of its life; never zero.
    pub fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Waiting,
            1 => Phase::Started,
            2 => Phase::Open,
            _ => Phase::Ended,
        }
    }

    /// Goes on to a later phase; `false` when it is there already or beyond.
    pub fn enter(&self, phase: Phase) -> bool {
        let went_on = self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8;
        if went_on {
            self.times.entered.store(self.now(), Ordering::Relaxed);
        }
        went_on
    }

    /// There is no transport, or no poll, from now on or no longer.
    pub fn set_detached(&self, detached: bool) {
        self.times.since.store(self.now(), Ordering::Relaxed);
        self.times.detached.store(detached, Ordering::Release);
    }

    pub fn signal(&self, signal: Signal) {
        self.signals.fetch_or(signal as u32, Ordering::AcqRel);
        self.waker.wake();
    }

    pub fn take_signals(&self) -> Signals {
        Signals(self.signals.swap(0, Ordering::AcqRel))
    }

    /// The HTTP side, made when first needed: WebSockets never do.
    pub fn pipe(&self, options: &Options) -> &Arc<HttpPipe> {
        self.pipe.get_or_init(|| Arc::new(HttpPipe::new(options)))
    }

    pub fn existing_pipe(&self) -> Option<&Arc<HttpPipe>> {
        self.pipe.get()
    }

    pub fn resume_with(&self, wire: WebSocketWire) {
        *lock(&self.resumed_by) = Some(Box::new(wire));
        self.signal(Signal::Resumed);
    }

    pub fn take_resumed(&self) -> Option<Box<WebSocketWire>> {
        lock(&self.resumed_by).take()
    }

    /// Sends without waiting. A client that lets its queue fill is closed: it may neither slow others nor use up memory.
    pub fn send_or_close(&self, message: Bytes, limit: usize) -> bool {
        match self.outbox.push(message, limit) {
            Pushed::Queued => {
                self.waker.wake();
                true
            }
            Pushed::Full => {
                self.signal(Signal::TooSlow);
                false
            }
            Pushed::Closed => false,
        }
    }

    /// Sends from one of the connection's own handlers, which waits while the client reads slower than it writes.
    pub async fn send_waiting(&self, message: Bytes, options: &Options) -> bool {
        self.outbox.push_waiting(message, options.transport_buffer_size, || self.waker.wake()).await
    }

    pub fn transport_kind(&self) -> TransportKind {
        self.transport.get().copied().unwrap_or(TransportKind::WebSockets)
    }

    pub fn user_id(&self) -> Option<&str> {
        self.principal.get().and_then(Principal::user_id)
    }

    pub fn origin(&self) -> Option<&Arc<str>> {
        self.principal.get().and_then(Principal::origin)
    }

    pub fn release_slot(&self) {
        self.slots.fetch_sub(1, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A set of [`Signal`]s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signals(u32);

impl Signals {
    pub fn has(self, signal: Signal) -> bool {
        self.0 & signal as u32 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 16 bytes of the system's randomness as 22 characters of base64url.
fn random_id() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
