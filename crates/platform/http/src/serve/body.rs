//! Bodies that keep moving: requests at a minimum rate, and answers that somebody reads.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::stall::{STALL_BUDGET, StallTimer};

/// The most bytes of a body that nobody wanted which are read, so that the connection can go on.
const DRAINED_BYTES: usize = 256 * 1024;
/// How long they are waited for.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);
/// What is left of the stall budget of a body once the program ends.
const STALL_BUDGET_AT_SHUTDOWN: Duration = Duration::from_secs(1);
/// How many bytes of an answer are handed to an HTTP/2 stream at one go, and must be taken within [`STALL_BUDGET`].
const CHUNK: usize = 16 * 1024;

/// The body did not come at the minimum rate: 408.
#[derive(Debug)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body came too slowly")
    }
}

impl Error for TooSlow {}

/// The body of a request. It fails with [`TooSlow`] below the minimum rate, and leaves what was not read of it to
/// the owner of its [`Rest`].
pub struct Paced {
    inner: Option<Incoming>,
    stall: StallTimer,
    shutdown: CancellationToken,
    /// Made when the body waits for the first time.
    ending: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    rest: Rest,
}

/// What became of a body.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    /// A handler has it.
    #[default]
    Reading,
    /// All of it was read.
    Read,
    /// It broke, or was too slow.
    Broken,
    /// It was dropped before its end.
    Left(Incoming),
}

impl Paced {
    pub fn new(inner: Incoming, shutdown: CancellationToken) -> (Self, Rest) {
        let rest = Rest::default();
        (Self { inner: Some(inner), stall: StallTimer::new(), shutdown, ending: None, rest: rest.clone() }, rest)
    }

    /// Ready: it is too slow.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ending = self.ending.get_or_insert_with(|| Box::pin(self.shutdown.clone().cancelled_owned()));
        // Polled again after its end it would be ready again: the budget would only be cut once more.
        if ending.as_mut().poll(cx).is_ready() {
            self.stall.shorten(STALL_BUDGET_AT_SHUTDOWN);
        }
        self.stall.poll_stalled(cx)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let state = match Pin::new(&mut *inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.stall.progress(frame.data_ref().map_or(0, Bytes::len));
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => (State::Read, None),
            Poll::Ready(Some(Err(error))) => (State::Broken, Some(axum::Error::new(error))),
            Poll::Pending => {
                ready!(this.poll_stalled(cx));
                metrics::counter!("http_slow_clients_total", "what" => "request").increment(1);
                (State::Broken, Some(axum::Error::new(TooSlow)))
            }
        };
        this.inner = None;
        this.rest.set(state.0);
        Poll::Ready(state.1.map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.rest.set(if inner.is_end_stream() { State::Read } else { State::Left(inner) });
        }
    }
}

impl Rest {
    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether the connection can go on after the answer: all of the body was read, or a small rest could be.
    pub async fn can_go_on(&self, expects_continue: bool) -> bool {
        let state = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        match state {
            State::Read => true,
            // Somebody reads on beside the answer; the library handles that.
            State::Reading => true,
            State::Broken => false,
            // Such a client sends nothing before it is asked to, and then it has its answer already.
            State::Left(_) if expects_continue => false,
            State::Left(body) if body.size_hint().lower() > DRAINED_BYTES as u64 => false,
            State::Left(body) => tokio::time::timeout(DRAINED_WITHIN, drain(body)).await.unwrap_or(false),
        }
    }
}

async fn drain(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return false };
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > DRAINED_BYTES {
            return false;
        }
    }
    true
}

/// How an HTTP/2 stream's answer goes: since when a part of it waits for the client to make room.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<Option<Instant>>>);

tokio::task_local! {
    static STREAM: Waiting;
}

impl Waiting {
    /// That of the stream whose task this is.
    pub fn current() -> Option<Self> {
        STREAM.try_with(Self::clone).ok()
    }

    /// Runs a stream's task, and drops it when its client does not read: that resets the stream.
    pub async fn run<F: Future<Output = ()>>(task: F) {
        let waiting = Self::default();
        let task = STREAM.scope(waiting.clone(), task);
        tokio::select! {
            () = task => {}
            () = waiting.too_long() => {
                metrics::counter!("http_slow_clients_total", "what" => "response").increment(1);
            }
        }
    }

    async fn too_long(&self) {
        let mut wait = STALL_BUDGET;
        loop {
            tokio::time::sleep(wait).await;
            let waited = self.since().map_or(Duration::ZERO, |since| since.elapsed());
            if waited >= STALL_BUDGET {
                return;
            }
            wait = STALL_BUDGET - waited;
        }
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// The body of an answer over HTTP/2, in parts small enough that little is buffered for a client that does not read.
pub struct Parted {
    inner: Body,
    rest: Bytes,
    /// Whether `rest` is what remains of a longer part.
    parted: bool,
    waiting: Waiting,
}

impl Parted {
    pub fn new(inner: Body, waiting: Waiting) -> Self {
        waiting.set(Some(Instant::now()));
        Self { inner, rest: Bytes::new(), parted: false, waiting }
    }
}

impl HttpBody for Parted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Asked for more: what was given before is on its way.
        self.waiting.set(None);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.rest = data;
                        self.parted = self.rest.len() > CHUNK;
                    }
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        let mut part = match self.rest.len() > CHUNK {
            true => self.rest.split_to(CHUNK),
            false => std::mem::take(&mut self.rest),
        };
        if self.parted && self.rest.is_empty() {
            // The last part may wait in the library for as long as the connection lives: not with the whole answer.
            part = Bytes::copy_from_slice(&part);
        }
        self.waiting.set(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
