use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bookworm_http::{Problem, RequestContext, context::write_trace, grpc::to_status};
use bookworm_kernel::{ErrorCode, TraceParent};
use bookworm_resilience::{BreakerPolicy, Deadline, Failure, Fault, Guard, Limits, Note, Outage, Policy, State};
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceExt};

use crate::{Method, Transport, Tried, local, spans, wire};

/// What is reserved of a deadline for the way back to whoever set it: of the caller's here, and of ours at the callee.
const MARGIN: Duration = Duration::from_millis(5);
/// How often a repeatable method is called in all.
const ATTEMPTS: u32 = 3;
/// How many calls of one edge may be under way.
const CONCURRENCY: usize = 512;

/// How long a callee that fails is left alone at most: one that is back is soon asked again.
const OPEN_AT_MOST: Duration = Duration::from_secs(15);

/// One edge: the way from one caller to one callee, with everything that stands around a call. Cheap to clone; clones
/// share bulkhead and breaker.
#[derive(Clone)]
pub struct Edge {
    inner: Arc<Inner>,
    transport: Transport,
}

struct Inner {
    name: &'static str,
    guard: Guard,
    methods: &'static [Method],
    outage: Outage,
}

impl Inner {
    /// Says once that the callee does not answer, and when it does again. An answer that blames the caller is one.
    fn log(&self, method: &Method, failure: Option<&Failure<Status>>) {
        let note = match failure {
            None => self.outage.answered(),
            Some(Failure::Failed(status)) if fault(status) == Fault::Caller => self.outage.answered(),
            Some(_) => self.outage.failed(),
        };
        let why = failure.map(ToString::to_string).unwrap_or_default();
        match note {
            Some(Note::Began) => {
                tracing::warn!(edge = self.name, method = method.path, why, "calls bring no answer");
            }
            Some(Note::GoesOn { failed }) => {
                tracing::warn!(edge = self.name, method = method.path, why, failed, "calls still bring no answer");
            }
            Some(Note::Ended { failed, lasted }) => {
                tracing::info!(edge = self.name, failed, seconds = lasted.as_secs(), "calls are answered again");
            }
            None => tracing::debug!(edge = self.name, method = method.path, why, "a call was made"),
        }
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("edge", &self.inner.name).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Edge {
    /// The edge of this name (`<caller>.<callee>`, the label in metrics and logs) to what has these methods.
    #[must_use]
    pub fn new(name: &'static str, transport: Transport, methods: &'static [Method]) -> Self {
        let breaker = BreakerPolicy { open_at_most: OPEN_AT_MOST, ..BreakerPolicy::default() };
        let guard = Guard::new(name, Policy { concurrency: CONCURRENCY, breaker, ..Policy::default() });
        Self { inner: Arc::new(Inner { name, guard, methods, outage: Outage::default() }), transport }
    }

    /// The edge of this name to a service of this process.
    pub fn local<S>(name: &'static str, service: S, methods: &'static [Method]) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self::new(name, local(service), methods)
    }

    /// What the circuit breaker does with calls now.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.guard.state()
    }

    async fn call_within(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Self { inner: edge, transport } = self;
        let (mut head, body) = request.into_parts();
        let Some(method) = edge.methods.iter().find(|method| method.path == head.uri.path()) else {
            return Err(Status::unimplemented(format!("{} has no method {}", edge.name, head.uri.path())));
        };
        if !RequestContext::is_in(&head.headers)
            && let Some(context) = RequestContext::current()
        {
            context.write(&mut head.headers);
        }
        // A call may bring the place itself: a trace that has just started is not in headers.
        let place = head.extensions.remove::<TraceParent>().or_else(|| RequestContext::trace_in(&head.headers));
        let mut step = Span::begin(Kind::Client, place.map(Parent::from), || {
            let (called, mut attributes) = spans::describe(method.path);
            attributes.push(KeyValue::new("bookworm.edge", edge.name));
            (called, attributes)
        });
        write_trace(step.place(), &mut head.headers);
        let total = match Deadline::current() {
            Some(deadline) => method.timeout.min(deadline.left().saturating_sub(MARGIN)),
            None => method.timeout,
        };
        if total.is_zero() {
            return Err(to_status(&Problem::new(ErrorCode::Timeout)));
        }
        // A question is one message; it is buffered so that it can be sent again.
        let body = body.collect().await?.to_bytes();
        let limits = if method.repeatable {
            Limits { attempt: total / 2, total, attempts: ATTEMPTS }
        } else {
            Limits { attempt: total, total, attempts: 1 }
        };
        let end = Instant::now() + total;
        head.extensions.insert(Tried::default());
        let attempt = || {
            let (mut head, body, transport) = (head.clone(), body.clone(), transport.clone());
            let left = limits.attempt.min(end.saturating_duration_since(Instant::now()));
            // So that an answer which comes at the last moment is still read.
            wire::write_timeout(&mut head.headers, left.saturating_sub(MARGIN));
            ask(transport, Request::from_parts(head, body))
        };
        let answer = edge.guard.call_within(limits, attempt, fault).await;
        edge.log(method, answer.as_ref().err());
        let answer = answer.map_err(|failure| {
            let refused = |wait| to_status(&Problem::new(ErrorCode::Unavailable).retry_after(wait));
            match failure {
                Failure::Refused { retry_after } => refused(retry_after.max(Duration::from_secs(1))),
                Failure::Busy => refused(Duration::from_secs(1)),
                Failure::TimedOut => to_status(&Problem::new(ErrorCode::Timeout)),
                Failure::Failed(status) => status,
            }
        });
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        spans::answered(&mut step, code, code != Code::Ok);
        answer
    }
}

/// One attempt. A status in the answer's head is an error: a unary method that fails sends nothing else.
async fn ask(transport: Transport, request: Request<Bytes>) -> Result<Response<Body>, Status> {
    let answer = transport.oneshot(request.map(|body| Body::new(Full::new(body)))).await?;
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(answer),
    }
}

/// What a status says of the callee.
fn fault(status: &Status) -> Fault {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => Fault::Transient { after: None },
        Code::Internal | Code::Unknown | Code::Unimplemented | Code::DataLoss => Fault::Permanent,
        _ => Fault::Caller,
    }
}

impl Service<Request<Body>> for Edge {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Each attempt waits for a clone of its own; the bulkhead refuses rather than waits.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().call_within(request))
    }
}
