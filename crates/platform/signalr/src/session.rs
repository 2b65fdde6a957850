//! The life of one connection after its transport is there: one task that reads, runs the hub's methods and writes.
//!
//! Everything of a connection happens in one task and one poll function: no task for reading, none for writing, none for
//! each invocation. That is what makes an idle connection small, and what joins the answers to many small messages into
//! one write.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::arguments::{Incoming, Upload, UploadEnd, UploadSender, upload};
use crate::connection::{Connection, Phase, Signal, Signals};
use crate::context::Call;
use crate::error::{Disconnect, HubError};
use crate::handler::{Method, MethodStart, StreamResult, UnaryResult};
use crate::hub::HubCore;
use crate::message_buffer::MessageBuffer;
use crate::protocol::{
    BindingError, CompletionOf, Framing, HandshakeError, HandshakeRequest, Invocation, Message, Outcome, Payload,
    Protocol, ProtocolError, write_handshake_error, write_handshake_success,
};
use crate::transport::{Received, Wire};

/// How often the poll function goes round before it lets other tasks run.
const ROUNDS: usize = 64;

/// How long after the handshake a refused client gets the reason. The JavaScript client calls `onclose` only for a connection
/// that it knew, which it does not when handshake and Close arrive together.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    /// The answer to the handshake is on its way: nothing else may go with it.
    Greeting,
    /// `on_connected` runs; nothing is read.
    Connecting,
    Open,
}

/// Why a session ends, and what the client gets to know.
#[derive(Debug)]
struct End {
    reason: Disconnect,
    farewell: Farewell,
}

#[derive(Debug)]
enum Farewell {
    Nothing,
    Close { error: Option<String>, allow_reconnect: bool },
    Handshake(String),
}

/// An invocation that waits for its turn.
struct Job {
    method: Option<Arc<Method>>,
    invocation: Invocation,
    cancellation: CancellationToken,
    uploads: Vec<Upload>,
}

/// What ended of what the session runs.
enum Done {
    Connected(Result<(), HubError>),
    Call { cancellable: Option<String> },
}

struct Session {
    hub: Arc<HubCore>,
    connection: Arc<Connection>,
    wire: Option<Wire>,
    framing: Framing,
    stage: Stage,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    waiting: VecDeque<Job>,
    uploads: HashMap<String, UploadSender>,
    /// An item for which an upload has no room yet.
    stalled: Option<(String, Payload)>,
    cancellations: HashMap<String, CancellationToken>,
    stateful: Option<Box<MessageBuffer>>,
    /// Goes out before the queue: handshake, pings, acknowledgements, replays.
    control: BytesMut,
    /// Nothing more is read; what waits is still done.
    ending: Option<End>,
    /// How long running handlers may delay the end.
    grace: Option<Pin<Box<Sleep>>>,
    connected: bool,
}

/// Runs a connection to its end.
pub(crate) async fn run(hub: Arc<HubCore>, connection: Arc<Connection>, wire: Wire) {
    if hub.raw.is_some() {
        return crate::raw::run(hub, connection, wire).await;
    }
    let span = tracing::info_span!(
        "signalr.connection", hub = %hub.name, connection_id = %connection.id,
        transport = connection.transport_kind().name()
    );
    hub.metrics.opened(connection.transport_kind());
    let mut session = Session::new(hub, connection, wire);
    session.take_early_posts();
    async move {
        let end = std::future::poll_fn(|cx| session.poll(cx)).await;
        tracing::debug!(reason = ?end.reason, "connection ends");
        session.finish(end).await;
    }
    .instrument(span)
    .await;
}

impl Session {
    fn new(hub: Arc<HubCore>, connection: Arc<Connection>, wire: Wire) -> Self {
        Self {
            framing: Framing::new(Protocol::Json, hub.options.maximum_receive_message_size),
            hub,
            connection,
            wire: Some(wire),
            stage: Stage::Handshake,
            calls: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            uploads: HashMap::new(),
            stalled: None,
            cancellations: HashMap::new(),
            stateful: None,
            control: BytesMut::new(),
            ending: None,
            grace: None,
            connected: false,
        }
    }

    /// What was posted before a WebSocket came is the beginning of its stream.
    fn take_early_posts(&mut self) {
        if let (Some(Wire::WebSocket(_)), Some(pipe)) = (&self.wire, self.connection.existing_pipe()) {
            while let Some(data) = pipe.take_incoming() {
                self.framing.push(&data);
            }
            pipe.end();
        }
    }

    fn protocol(&self) -> Protocol {
        self.connection.protocol.get().copied().unwrap_or(Protocol::Json)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.connection.waker.register(cx.waker());
        for _ in 0..ROUNDS {
            let signals = self.connection.take_signals();
            if !signals.is_empty()
                && let Some(end) = self.handle_signals(signals)
            {
                return Poll::Ready(end);
            }
            let mut progress = false;
            while let Poll::Ready(Some(done)) = self.calls.poll_next_unpin(cx) {
                progress = true;
                match done {
                    Done::Call { cancellable: Some(id) } => drop(self.cancellations.remove(&id)),
                    Done::Call { cancellable: None } => {}
                    Done::Connected(Ok(())) => self.open(),
                    Done::Connected(Err(error)) => return Poll::Ready(self.refused(&error)),
                }
            }
            progress |= self.poll_stalled(cx);
            match self.handle_input() {
                Ok(handled) => progress |= handled,
                Err(end) => return Poll::Ready(end),
            }
            progress |= self.start_waiting();
            if self.ending.is_some()
                && (self.is_settled() || self.grace_is_over(cx))
                && let Some(end) = self.ending.take()
            {
                return Poll::Ready(end);
            }
            if progress {
                // Whatever is ready is written together.
                continue;
            }
            self.poll_write(cx);
            progress |= self.connect_when_greeted();
            progress |= self.poll_read(cx);
            if !progress {
                self.note_whether_busy();
                return Poll::Pending;
            }
        }
        self.poll_write(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether everything that came before the end is done.
    fn is_settled(&self) -> bool {
        self.waiting.is_empty()
            && self.stalled.is_none()
            && self.stage != Stage::Connecting
            && self.connection.slots.load(Ordering::Acquire) == 0
    }

    fn grace_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.hub.options.handler_grace;
        self.grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).poll_unpin(cx).is_ready()
    }

    /// Nothing more comes from the client: what was read is still done.
    fn end_with(&mut self, reason: Disconnect) {
        self.connection.over.cancel();
        if self.ending.is_none() {
            self.ending = Some(End { reason, farewell: Farewell::Nothing });
        }
    }

    /// Does what the heartbeat, handlers and other tasks ask.
    fn handle_signals(&mut self, signals: Signals) -> Option<End> {
        let close = |error, allow_reconnect| Farewell::Close { error, allow_reconnect };
        let end = |reason, farewell| Some(End { reason, farewell });
        if signals.has(Signal::TooSlow) {
            self.hub.metrics.slow_closed.increment(1);
            return end(Disconnect::Error("the client reads too slowly".to_owned()), Farewell::Nothing);
        }
        if signals.has(Signal::HandshakeTimeout) {
            return end(
                Disconnect::Error("no handshake in time".to_owned()),
                Farewell::Handshake(HandshakeError::Canceled.to_string()),
            );
        }
        if signals.has(Signal::Shutdown) {
            return end(Disconnect::Shutdown, close(None, true));
        }
        if signals.has(Signal::Abort) {
            return end(Disconnect::Aborted, close(None, false));
        }
        if signals.has(Signal::Expired) {
            return end(Disconnect::Expired, close(None, true));
        }
        if signals.has(Signal::ClientTimeout) {
            self.hub.metrics.timed_out.increment(1);
            let detail = format!(
                "OperationCanceledException: Client hasn't sent a message/ping within the configured {}.",
                "ClientTimeoutInterval"
            );
            return end(Disconnect::Error("the client was silent".to_owned()), close(Some(self.error(&detail)), true));
        }
        if signals.has(Signal::ReaderGone) || signals.has(Signal::Deleted) {
            // What was posted before counts; a Close may be among it.
            if let Some(Wire::Http(pipe)) = &self.wire {
                while let Some(data) = pipe.take_incoming() {
                    self.framing.push(&data);
                }
            }
            if let Err(end) = self.handle_input() {
                return Some(end);
            }
            let deleted = signals.has(Signal::Deleted);
            self.end_with(if deleted { Disconnect::Client } else { Disconnect::Lost });
        }
        if signals.has(Signal::Resumed)
            && let Some(mut wire) = self.connection.take_resumed()
        {
            let protocol = self.protocol();
            wire.set_binary(protocol.is_binary());
            self.wire = Some(Wire::WebSocket(wire));
            self.framing.clear();
            self.control.clear();
            if let Some(buffer) = &mut self.stateful {
                self.control.extend_from_slice(&buffer.replay(protocol));
            }
            self.connection.set_detached(false);
            self.connection.times.stuck.store(0, Ordering::Relaxed);
            self.hub.metrics.resumed.increment(1);
        }
        if self.wire.is_some() {
            if signals.has(Signal::Ping) && self.stage != Stage::Handshake {
                self.control.extend_from_slice(&self.protocol().write(&Message::Ping));
            }
            if signals.has(Signal::Acknowledge)
                && let Some(ack) = self.stateful.as_mut().and_then(|buffer| buffer.due_acknowledgement())
            {
                self.control.extend_from_slice(&self.protocol().write(&ack));
            }
        }
        None
    }

    /// The text for a client about an error that ends the connection.
    fn error(&self, detail: &str) -> String {
        let general = "Connection closed with an error.";
        if self.hub.options.detailed_errors { format!("{general} {detail}") } else { general.to_owned() }
    }

    fn broke_protocol(&self, error: &ProtocolError) -> End {
        self.hub.metrics.protocol_errors.increment(1);
        let text = error.to_string();
        // A client can only mend what it knows, and how much it may send is no secret: it is sent without detailed
        // errors too, though not in .NET's words, which name an option of the server.
        let text_for_client = match error {
            ProtocolError::TooLarge { limit } if !self.hub.options.detailed_errors => {
                format!("Connection closed with an error. A message must be at most {limit} bytes.")
            }
            _ => self.error(&format!("InvalidDataException: {text}")),
        };
        End {
            reason: Disconnect::Error(text),
            farewell: Farewell::Close { error: Some(text_for_client), allow_reconnect: true },
        }
    }

    /// `on_connected` failed.
    fn refused(&self, error: &HubError) -> End {
        let text = error.text_for_client("Connection closed with an error.", self.hub.options.detailed_errors);
        End {
            reason: Disconnect::Error(error.to_string()),
            farewell: Farewell::Close { error: Some(text), allow_reconnect: false },
        }
    }

    fn open(&mut self) {
        self.stage = Stage::Open;
        self.connected = true;
    }

    /// Time-outs of the client rest while its messages are being handled.
    fn note_whether_busy(&self) {
        let busy = self.connection.slots.load(Ordering::Acquire) > 0 || self.stalled.is_some();
        let times = &self.connection.times;
        if times.busy.swap(busy, Ordering::AcqRel) && !busy {
            self.note_received();
        }
    }

    /// Bytes came. Counted from the client's first ping on.
    fn note_received(&self) {
        let received = &self.connection.times.received;
        if received.load(Ordering::Relaxed) != 0 {
            received.store(self.connection.now(), Ordering::Relaxed);
        }
    }

    // ---- reading -----------------------------------------------------------------------------------------------

    fn may_handle(&self) -> bool {
        self.ending.is_none()
            && !matches!(self.stage, Stage::Greeting | Stage::Connecting)
            && self.stalled.is_none()
            && self.waiting.len() < self.hub.options.maximum_waiting_invocations.max(1)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let ending = self.ending.is_some();
        if !ending && !self.may_handle() {
            return false;
        }
        let Some(wire) = &mut self.wire else { return false };
        let Poll::Ready(received) = wire.poll_read(cx) else { return false };
        match received {
            // Nobody asked for more.
            Received::Data(_) if ending => {}
            Received::Data(data) => {
                self.hub.metrics.bytes_in.increment(data.len() as u64);
                self.note_received();
                self.framing.push(&data);
            }
            Received::TooLarge => {
                let error = ProtocolError::TooLarge { limit: self.hub.options.maximum_receive_message_size };
                self.ending = Some(if self.stage == Stage::Handshake {
                    self.handshake_failed(&HandshakeError::Canceled)
                } else {
                    self.broke_protocol(&error)
                });
            }
            Received::Closed => {
                self.connection.stateful.store(false, Ordering::Release);
                let partial = !self.framing.is_empty() && self.stage == Stage::Open && !ending;
                self.end_with(if partial {
                    Disconnect::Error("Connection terminated while reading a message.".to_owned())
                } else {
                    Disconnect::Client
                });
            }
            Received::Lost => self.lost(),
        }
        true
    }

    /// The transport is gone without a close message.
    fn lost(&mut self) {
        self.wire = None;
        if self.stateful.is_some() && self.connection.stateful.load(Ordering::Acquire) && self.ending.is_none() {
            self.framing.clear();
            self.connection.times.stuck.store(0, Ordering::Relaxed);
            self.connection.set_detached(true);
        } else {
            self.end_with(Disconnect::Lost);
        }
    }

    fn handle_input(&mut self) -> Result<bool, End> {
        let mut handled = false;
        while self.may_handle() {
            let frame = match self.framing.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) if self.stage == Stage::Handshake => {
                    return Err(self.handshake_failed(&HandshakeError::Canceled));
                }
                Err(error) => return Err(self.broke_protocol(&error)),
            };
            handled = true;
            if self.stage == Stage::Handshake {
                self.shake_hands(&frame)?;
                continue;
            }
            self.hub.metrics.messages_in.increment(1);
            match self.protocol().parse(&frame) {
                Ok(Some(message)) => self.handle(message).map_err(|error| self.broke_protocol(&error))?,
                Ok(None) => {}
                Err(error) => return Err(self.broke_protocol(&error)),
            }
        }
        Ok(handled)
    }

    fn handshake_failed(&self, error: &HandshakeError) -> End {
        End {
            reason: Disconnect::Error(error.text(true)),
            farewell: Farewell::Handshake(error.text(self.hub.options.detailed_errors)),
        }
    }

    fn shake_hands(&mut self, frame: &Bytes) -> Result<(), End> {
        let request = HandshakeRequest::parse(frame).map_err(|error| self.handshake_failed(&error))?;
        let protocol = request.protocol;
        if protocol.is_binary() && !self.connection.transport_kind().carries_binary() {
            return Err(self.handshake_failed(&HandshakeError::NeedsBinary(protocol)));
        }
        if self.connection.protocol.set(protocol).is_err() {
            return Err(self.handshake_failed(&HandshakeError::Canceled));
        }
        self.framing.switch_to(protocol);
        if request.version < 2 {
            self.connection.stateful.store(false, Ordering::Release);
        } else if self.connection.stateful.load(Ordering::Acquire) {
            self.stateful = Some(Box::new(MessageBuffer::new(self.hub.options.stateful_buffer_size)));
        }
        if let Some(wire) = &mut self.wire {
            wire.set_binary(protocol.is_binary());
        }
        let limit = self.hub.options.maximum_connections_per_user;
        if !self.hub.enter(&self.connection, limit) {
            self.hub.metrics.rejected.increment(1);
            return Err(End {
                reason: Disconnect::Error("the user has too many connections".to_owned()),
                farewell: Farewell::Handshake(format!("The limit of {limit} connections for one user is reached.")),
            });
        }
        self.control.extend_from_slice(&write_handshake_success());
        self.connection.times.pinged.store(self.connection.now(), Ordering::Relaxed);
        self.connection.enter(Phase::Open);
        if self.hub.on_connected.is_none() && self.hub.is_alone() {
            self.open();
        } else {
            self.stage = Stage::Greeting;
        }
        Ok(())
    }

    /// Waits until other nodes' messages reach the connection, then runs `on_connected`. It does so when the client has
    /// the answer to its handshake: a client that is refused now must know that it was connected.
    fn connect_when_greeted(&mut self) -> bool {
        if self.stage != Stage::Greeting
            || self.ending.is_some()
            || !self.control.is_empty()
            || self.wire.as_ref().is_some_and(|wire| !wire.is_flushed())
        {
            return false;
        }
        self.stage = Stage::Connecting;
        let (hub, connection) = (Arc::clone(&self.hub), Arc::clone(&self.connection));
        let connecting = async move {
            hub.listening(&connection).await;
            let Some(connected) = &hub.on_connected else { return Done::Connected(Ok(())) };
            let token = connection.over.child_token();
            let call = Call::new(Arc::clone(&hub), Arc::clone(&connection), token, false, true);
            let work = AssertUnwindSafe(connected(call)).catch_unwind();
            let result = work.await.unwrap_or_else(|panic| Err(panicked(&panic)));
            if result.is_err() {
                tokio::time::sleep(REFUSAL_PAUSE).await;
            }
            Done::Connected(result)
        };
        self.calls.push(connecting.boxed());
        true
    }

    fn handle(&mut self, message: Message) -> Result<(), ProtocolError> {
        if let Some(buffer) = &mut self.stateful {
            match message {
                Message::Ack { sequence_id } => {
                    buffer.acknowledge(sequence_id);
                    return Ok(());
                }
                Message::Sequence { sequence_id } => return buffer.resume_at(sequence_id),
                _ if !buffer.admits(&message) => return Ok(()),
                _ => {}
            }
        }
        match message {
            Message::Invocation(invocation) => self.invoked(invocation),
            Message::StreamItem { invocation_id, item, .. } => {
                if self.uploads.contains_key(&invocation_id) {
                    self.stalled = Some((invocation_id, item));
                }
            }
            Message::Completion { invocation_id, outcome, .. } => {
                if let Some(upload) = self.uploads.remove(&invocation_id) {
                    let end = match outcome {
                        Outcome::Error(text) => UploadEnd::Failed(text),
                        _ => UploadEnd::Complete,
                    };
                    // An upload ends once: it was just taken out of the table.
                    let _ = upload.ended.set(end);
                } else {
                    self.hub.answered(&self.connection, &invocation_id, outcome)?;
                }
            }
            Message::CancelInvocation { invocation_id, .. } => {
                if let Some(token) = self.cancellations.get(&invocation_id) {
                    token.cancel();
                }
            }
            Message::Ping => self.connection.times.received.store(self.connection.now(), Ordering::Relaxed),
            Message::Close { .. } => {
                self.connection.stateful.store(false, Ordering::Release);
                self.ending = Some(End {
                    reason: Disconnect::Client,
                    farewell: Farewell::Close { error: None, allow_reconnect: false },
                });
            }
            Message::Ack { .. } | Message::Sequence { .. } => {}
        }
        Ok(())
    }

    /// Hands an item to an upload when it has room. `true`: the item is out of the way.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((id, item)) = self.stalled.take() else { return false };
        let Some(upload) = self.uploads.get_mut(&id) else { return true };
        match upload.items.poll_ready(cx) {
            Poll::Pending => {
                self.stalled = Some((id, item));
                false
            }
            // The handler wants no more: this item and all later ones are ignored.
            Poll::Ready(Err(_)) => {
                self.uploads.remove(&id);
                true
            }
            Poll::Ready(Ok(())) => {
                if upload.items.start_send(item).is_err() {
                    self.uploads.remove(&id);
                }
                true
            }
        }
    }

    // ---- invocations -------------------------------------------------------------------------------------------

    fn invoked(&mut self, invocation: Invocation) {
        let open = self.uploads.len() + self.cancellations.len();
        let limit = self.hub.options.maximum_streams;
        if let Some(id) = &invocation.invocation_id
            && invocation.streaming
            && self.cancellations.contains_key(id)
        {
            return self.fail(&invocation, &format!("Invocation ID '{id}' is already in use."));
        }
        if open + invocation.stream_ids.len() + usize::from(invocation.streaming) > limit {
            return self.fail(&invocation, &format!("The limit of {limit} open streams is reached."));
        }
        let cancellation = self.connection.over.child_token();
        if let Some(id) = &invocation.invocation_id {
            self.cancellations.entry(id.clone()).or_insert_with(|| cancellation.clone());
        }
        let uploads = invocation
            .stream_ids
            .iter()
            .map(|id| {
                let (sender, receiver) = upload(self.hub.options.stream_buffer_capacity);
                self.uploads.insert(id.clone(), sender);
                receiver
            })
            .collect();
        let method = self.hub.methods.get(&invocation.target.to_lowercase()).cloned();
        self.waiting.push_back(Job { method, invocation, cancellation, uploads });
    }

    /// Starts what waits, in its order, as far as there are slots.
    fn start_waiting(&mut self) -> bool {
        let mut started = false;
        while self.stage == Stage::Open
            && let Some(job) = self.waiting.front()
        {
            // Streams and uploads run in the background and take no turn.
            let turn = job.method.as_ref().is_some_and(|method| !method.is_streaming() && method.takes.1 == 0);
            let parallel = self.hub.options.maximum_parallel_invocations.max(1);
            if turn && self.connection.slots.load(Ordering::Acquire) >= parallel {
                break;
            }
            started = true;
            if let Some(job) = self.waiting.pop_front() {
                self.start(job, turn);
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
        started
    }

    /// Reports to the caller, if it waits for an answer, that its invocation failed.
    fn fail(&self, invocation: &Invocation, text: &str) {
        if let Some(id) = &invocation.invocation_id {
            let message = self.protocol().write_completion(id, CompletionOf::Error(text));
            self.connection.send_or_close(message, self.hub.options.send_queue_size);
        }
    }

    fn start(&mut self, mut job: Job, turn: bool) {
        let method = job.method.take();
        let id = job.invocation.invocation_id.clone();
        let started = match &method {
            Some(method) => self.prepare(method, job, turn),
            None => Err(Box::new((
                job.invocation,
                "Failed to invoke '{}' due to an error on the server. HubException: Method does not exist.".to_owned(),
            ))),
        };
        match started {
            Ok(call) => self.calls.push(call),
            Err(refused) => {
                let (invocation, text) = *refused;
                if let Some(method) = &method {
                    method.metrics.refused.increment(1);
                }
                self.fail(&invocation, &text.replace("{}", &invocation.target));
                for stream in &invocation.stream_ids {
                    self.uploads.remove(stream);
                }
                if let Some(id) = &id {
                    self.cancellations.remove(id);
                }
            }
        }
    }

    /// Checks and binds an invocation. An error comes with its text, in which `{}` stands for the target.
    fn prepare(
        &self,
        method: &Arc<Method>,
        job: Job,
        turn: bool,
    ) -> Result<BoxFuture<'static, Done>, Box<(Invocation, String)>> {
        let hub = &self.hub;
        let Job { invocation, cancellation, uploads, .. } = job;
        let detailed = hub.options.detailed_errors;
        let unbound = |error: &BindingError| {
            let text = "Failed to invoke '{}' due to an error on the server.";
            if detailed { format!("{text} InvalidDataException: {error}") } else { text.to_owned() }
        };
        let values = match invocation.arguments.values(method.takes.0) {
            Ok(values) => values.to_vec(),
            Err(error) => return Err(Box::new((invocation, unbound(&error)))),
        };
        let call = Call::new(Arc::clone(hub), Arc::clone(&self.connection), cancellation, false, false);
        if method.authorized.as_ref().is_some_and(|authorized| !authorized(call.clone())) {
            return Err(Box::new((invocation, "Failed to invoke '{}' because user is unauthorized".to_owned())));
        }
        match (invocation.streaming, method.is_streaming()) {
            (false, true) => {
                let text = "The client attempted to invoke the streaming '{}' method with a non-streaming invocation.";
                return Err(Box::new((invocation, text.to_owned())));
            }
            (true, false) => {
                let text = "The client attempted to invoke the non-streaming '{}' method with a streaming invocation.";
                return Err(Box::new((invocation, text.to_owned())));
            }
            _ => {}
        }
        if uploads.len() != method.takes.1 {
            let error = BindingError::Streams { given: uploads.len(), expected: method.takes.1 };
            let text = HubError::new(error.to_string())
                .text_for_client("An unexpected error occurred invoking '{}' on the server.", detailed);
            return Err(Box::new((invocation, text)));
        }
        if turn {
            self.connection.slots.fetch_add(1, Ordering::AcqRel);
        }
        let call = Call::new(Arc::clone(hub), Arc::clone(&self.connection), call.cancellation.clone(), turn, false);
        let incoming = Incoming { protocol: self.protocol(), values: values.into_iter(), uploads: uploads.into_iter() };
        let span = tracing::debug_span!("signalr.invocation", method = %method.name);
        let running = Running {
            id: invocation.invocation_id.clone(),
            method: Arc::clone(method),
            target: invocation.target.clone(),
            began: Instant::now(),
            call: call.clone(),
        };
        let bound = span.in_scope(|| {
            Ok(match &method.start {
                MethodStart::Unary(start) => {
                    let work = start(call.clone(), incoming)?;
                    let work = match &hub.around {
                        Some(around) => around(&method.name, work),
                        None => work,
                    };
                    running.unary(work).instrument(span.clone()).boxed()
                }
                MethodStart::Stream(start) => {
                    running.stream(start(call.clone(), incoming)?).instrument(span.clone()).boxed()
                }
            })
        });
        bound.map_err(|error: BindingError| {
            // Without the error, which repeats what was sent: people's words do not belong in logs.
            tracing::debug!(parent: &span, "arguments do not fit");
            call.release_slot();
            Box::new((invocation, unbound(&error)))
        })
    }

    // ---- writing -----------------------------------------------------------------------------------------------

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(wire) = &mut self.wire else { return };
            let stuck = &self.connection.times.stuck;
            match wire.poll_flush(cx) {
                Poll::Pending => {
                    if wire.can_be_stuck() && stuck.load(Ordering::Relaxed) == 0 {
                        stuck.store(self.connection.now(), Ordering::Relaxed);
                    }
                    return;
                }
                Poll::Ready(Ok(())) => stuck.store(0, Ordering::Relaxed),
                Poll::Ready(Err(_)) => {
                    self.lost();
                    cx.waker().wake_by_ref();
                    return;
                }
            }
            let Some(batch) = next_batch(&mut self.control, &mut self.stateful, &self.connection, &self.hub) else {
                return;
            };
            self.hub.metrics.bytes_out.increment(batch.len() as u64);
            if wire.start_send(batch).is_err() {
                self.lost();
                cx.waker().wake_by_ref();
                return;
            }
        }
    }

    // ---- the end -----------------------------------------------------------------------------------------------

    async fn finish(self, end: End) {
        let protocol = self.protocol();
        let Self { hub, connection, wire, mut calls, uploads, waiting, mut control, mut stateful, connected, .. } =
            self;
        connection.stateful.store(false, Ordering::Release);
        hub.leave(&connection);
        hub.abandon_results(&connection);
        drop(waiting);
        // Their handlers learn that the connection is gone.
        drop(uploads);
        let farewell = match &end.farewell {
            Farewell::Nothing => None,
            Farewell::Close { error, allow_reconnect } => {
                let (error, allow_reconnect) = (error.clone(), *allow_reconnect);
                Some(protocol.write(&Message::Close { error, allow_reconnect }))
            }
            Farewell::Handshake(text) => Some(write_handshake_error(text)),
        };
        let goodbye = async {
            if let Some(mut wire) = wire {
                if let Some(farewell) = farewell {
                    // What was sent before the end comes before the end.
                    let close_sent = async {
                        while let Some(batch) = next_batch(&mut control, &mut stateful, &connection, &hub) {
                            wire.send(batch, &connection.waker).await?;
                        }
                        wire.send(farewell, &connection.waker).await
                    };
                    let _ = tokio::time::timeout(hub.options.close_timeout, close_sent).await;
                }
                connection.outbox.close();
                connection.enter(Phase::Ended);
                if !matches!((&end.reason, &end.farewell), (Disconnect::Error(_), Farewell::Nothing)) {
                    let _ = tokio::time::timeout(hub.options.close_timeout, wire.close()).await;
                } else if let Wire::Http(pipe) = &wire {
                    // Too slow to get a message.
                    pipe.end();
                }
            }
            connection.outbox.close();
            connection.enter(Phase::Ended);
        };
        let settled = async {
            // Handlers run on to their end, but not for ever.
            connection.over.cancel();
            let all = async { while calls.next().await.is_some() {} };
            let _ = tokio::time::timeout(hub.options.handler_grace, all).await;
            calls.clear();
        };
        let close_sent = async {
            settled.await;
            if !connected {
                return;
            }
            let Some(disconnected) = &hub.on_disconnected else { return };
            let token = connection.over.child_token();
            let call = Call::new(Arc::clone(&hub), Arc::clone(&connection), token, false, true);
            let work = AssertUnwindSafe(disconnected(call, end.reason.clone())).catch_unwind();
            if tokio::time::timeout(hub.options.handler_grace, work).await.is_err() {
                tracing::warn!("on_disconnected was dropped: it ran longer than it may");
            }
        };
        // The hub need not wait until the peer has closed its side.
        futures::join!(goodbye, close_sent);
        hub.metrics.closed(connection.transport_kind());
        hub.finished(&connection);
    }
}

/// The next bytes for the wire: control first, then as many queued messages as may wait for the client's acknowledgement.
fn next_batch(
    control: &mut BytesMut,
    stateful: &mut Option<Box<MessageBuffer>>,
    connection: &Connection,
    hub: &HubCore,
) -> Option<Bytes> {
    if !control.is_empty() {
        return Some(std::mem::take(control).freeze());
    }
    let mut count = 0;
    let batch = match stateful {
        None => connection.outbox.take(usize::MAX, |_| count += 1),
        Some(buffer) => match buffer.room() {
            0 => None,
            room => connection.outbox.take(room, |message| {
                count += 1;
                buffer.store(message);
            }),
        },
    };
    hub.metrics.messages_out.increment(count);
    batch
}

/// An invocation while it runs.
struct Running {
    id: Option<String>,
    method: Arc<Method>,
    target: String,
    began: Instant,
    call: Call,
}

impl Running {
    fn done(self) -> Done {
        self.method.metrics.seconds.record(self.began.elapsed());
        self.call.release_slot();
        Done::Call { cancellable: self.id }
    }

    fn text_for_client(&self, error: &HubError) -> String {
        let sentence = format!("An unexpected error occurred invoking '{}' on the server.", self.target);
        error.text_for_client(&sentence, self.call.hub.options.detailed_errors)
    }

    async fn complete(&self, outcome: Result<CompletionOf<'_>, &HubError>, text: impl FnOnce(&HubError) -> String) {
        match &outcome {
            Ok(_) => self.method.metrics.ok.increment(1),
            Err(error) => {
                self.method.metrics.failed.increment(1);
                tracing::debug!(error = %error.for_log(), "invocation failed");
            }
        }
        let Some(id) = &self.id else { return };
        let protocol = self.call.connection.protocol.get().copied().unwrap_or(Protocol::Json);
        let message = match outcome {
            Ok(outcome) => protocol.write_completion(id, outcome),
            Err(error) => protocol.write_completion(id, CompletionOf::Error(&text(error))),
        };
        self.call.connection.send_waiting(message, &self.call.hub.options).await;
    }

    async fn unary(self, work: BoxFuture<'static, UnaryResult>) -> Done {
        let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&panic)));
        let outcome = result.as_ref().map(|payload| CompletionOf::Result(payload));
        self.complete(outcome, |error| self.text_for_client(error)).await;
        self.done()
    }

    async fn stream(self, work: BoxFuture<'static, StreamResult>) -> Done {
        let stream = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&panic)));
        match stream {
            Err(error) => self.complete(Err(&error), |error| self.text_for_client(error)).await,
            Ok(mut items) => {
                let cancelled = self.call.cancellation.clone();
                let id = self.id.as_deref().unwrap_or_default();
                let protocol = self.call.connection.protocol.get().copied().unwrap_or(Protocol::Json);
                let result = loop {
                    let next = AssertUnwindSafe(items.next()).catch_unwind();
                    let item = tokio::select! {
                        biased;
                        () = cancelled.cancelled() => break Ok(()),
                        item = next => item.unwrap_or_else(|panic| Some(Err(panicked(&panic)))),
                    };
                    match item {
                        None => break Ok(()),
                        Some(Err(error)) => break Err(error),
                        Some(Ok(payload)) => {
                            let message = protocol.write_stream_item(id, &payload);
                            if !self.call.connection.send_waiting(message, &self.call.hub.options).await {
                                break Ok(());
                            }
                        }
                    }
                };
                drop(items);
                let detailed = self.call.hub.options.detailed_errors;
                self.complete(result.as_ref().map(|()| CompletionOf::Void), |error| {
                    error.text_for_client("An error occurred on the server while streaming results.", detailed)
                })
                .await;
            }
        }
        self.done()
    }
}

fn panicked(panic: &Box<dyn std::any::Any + Send>) -> HubError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic".to_owned());
    tracing::error!(panic = text, "a hub method panicked");
    HubError::internal("Panic", text)
}
