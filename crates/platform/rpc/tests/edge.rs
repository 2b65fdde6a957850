//! What a caller and a callee notice of an edge between them. Time is paused: it passes only where a test waits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookworm_http::{Problem, RequestContext, grpc};
use bookworm_kernel::{Cause, ErrorCode};
use bookworm_resilience::{Deadline, State};
use bookworm_rpc::{Edge, Method};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::ServiceExt;

const READ: &str = "/test.Shelf/Read";
const WRITE: &str = "/test.Shelf/Write";
const METHODS: &[Method] =
    &[Method::repeatable(READ, Duration::from_secs(2)), Method::once(WRITE, Duration::from_secs(1))];

/// How the callee answers the next call.
#[derive(Clone)]
enum Next {
    Answer,
    Fail(Status),
    Hang,
}

/// A callee that does as it is told, and remembers what it saw.
#[derive(Clone, Default)]
struct Shelf {
    next: Arc<Mutex<Vec<Next>>>,
    calls: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    headers: HeaderMap,
    body: Bytes,
    context: Option<RequestContext>,
    left: Option<Duration>,
}

impl Shelf {
    /// What to do, call by call; then answer.
    fn doing(next: impl IntoIterator<Item = Next>) -> Self {
        let mut next: Vec<Next> = next.into_iter().collect();
        next.reverse();
        Self { next: Arc::new(Mutex::new(next)), ..Self::default() }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }

    fn edge(&self) -> Edge {
        let shelf = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let shelf = shelf.clone();
            async move { Ok::<_, Infallible>(shelf.answer(request).await) }
        });
        Edge::local("test.shelf", service, METHODS)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (head, body) = request.into_parts();
        let seen = Seen {
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
            context: RequestContext::current(),
            left: Deadline::current().map(Deadline::left),
        };
        self.seen.lock().unwrap().push(seen);
        let next = self.next.lock().unwrap().pop().unwrap_or(Next::Answer);
        match next {
            Next::Answer => Response::new(Body::new(Full::new(Bytes::from_static(b"read")))),
            Next::Fail(status) => status.into_http(),
            Next::Hang => std::future::pending().await,
        }
    }
}

fn unavailable() -> Next {
    Next::Fail(Status::unavailable("down"))
}

async fn call(edge: &Edge, path: &str) -> Result<Bytes, Status> {
    let request = Request::post(path).body(Body::new(Full::new(Bytes::from_static(b"which book?")))).unwrap();
    let answer = edge.clone().oneshot(request).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_method_that_may_be_repeated_is_and_with_the_same_question() {
    let shelf = Shelf::doing([unavailable(), unavailable()]);
    assert_eq!(call(&shelf.edge(), READ).await.unwrap(), "read");
    assert_eq!(shelf.calls(), 3);
    assert!(shelf.seen.lock().unwrap().iter().all(|seen| seen.body == "which book?"));
}

#[tokio::test(start_paused = true)]
async fn a_method_that_may_not_be_repeated_is_called_once() {
    let shelf = Shelf::doing([unavailable()]);
    assert_eq!(call(&shelf.edge(), WRITE).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(shelf.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_refuses_is_an_answer() {
    for code in [ErrorCode::NotFound, ErrorCode::ValidationFailed, ErrorCode::TooManyRequests, ErrorCode::BasketEmpty] {
        let refused = Problem::new(code).detail("because").with("limit", serde_json::json!(7));
        let shelf = Shelf::doing(std::iter::repeat_n(Next::Fail(grpc::to_status(&refused)), 30));
        let edge = shelf.edge();
        for _ in 0..30 {
            let problem = Problem::from(call(&edge, READ).await.unwrap_err());
            assert_eq!(problem.body(), refused.body(), "nothing of it is lost");
        }
        assert_eq!((shelf.calls(), edge.state()), (30, State::Closed), "neither repeated nor held against the callee");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_and_made_again() {
    let shelf = Shelf::doing([Next::Hang]);
    let began = Instant::now();
    assert_eq!(call(&shelf.edge(), READ).await.unwrap(), "read");
    // Half of the time is for the first attempt, less 5 ms that a callee leaves for the way back: it gives up itself. The
    // pause before the next attempt is drawn, and may be nothing.
    let took = began.elapsed();
    assert!((Duration::from_millis(995)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_a_timeout() {
    for (path, most) in [(READ, 2), (WRITE, 1)] {
        let shelf = Shelf::doing(std::iter::repeat_n(Next::Hang, 9));
        let began = Instant::now();
        let problem = Problem::from(call(&shelf.edge(), path).await.unwrap_err());
        assert_eq!(problem.code(), ErrorCode::Timeout);
        assert!(began.elapsed() <= Duration::from_secs(most), "{path}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_counts_where_it_is_earlier_and_goes_along() {
    let shelf = Shelf::doing([Next::Hang]);
    let edge = shelf.edge();
    let began = Instant::now();
    let late = Deadline::after(Duration::from_millis(300)).scope(call(&edge, WRITE)).await.unwrap_err();
    assert_eq!(Problem::from(late).code(), ErrorCode::Timeout);
    assert_eq!(began.elapsed(), Duration::from_millis(290), "5 ms are left for each way back");
    assert!(shelf.seen().left.unwrap() <= Duration::from_millis(290), "the callee knows");

    let calls = shelf.calls();
    let over = Deadline::after(Duration::from_millis(5)).scope(call(&edge, WRITE)).await.unwrap_err();
    assert_eq!(Problem::from(over).code(), ErrorCode::Timeout);
    assert_eq!(shelf.calls(), calls, "nobody is asked for an answer that nobody reads");

    Deadline::after(Duration::from_secs(60)).scope(call(&edge, WRITE)).await.unwrap();
    assert!(shelf.seen().left.unwrap() <= Duration::from_secs(1), "a method's own limit holds");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_is_over_is_not_begun() {
    let shelf = Shelf::default();
    let shelf_too = shelf.clone();
    let service = bookworm_rpc::Answering(tower::service_fn(move |request: Request<Body>| {
        let shelf = shelf_too.clone();
        async move { Ok::<_, Infallible>(shelf.answer(request).await) }
    }));
    let request = Request::post(READ).header("grpc-timeout", "0m").body(Body::empty()).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(Status::from_header_map(answer.headers()).unwrap().code(), Code::DeadlineExceeded);
    assert_eq!(shelf.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_fails_is_left_alone_for_a_while() {
    let shelf = Shelf::doing(std::iter::repeat_n(unavailable(), 10));
    let edge = shelf.edge();
    for _ in 0..10 {
        call(&edge, WRITE).await.unwrap_err();
    }
    assert_eq!(edge.state(), State::Open);
    let problem = Problem::from(call(&edge, WRITE).await.unwrap_err());
    assert_eq!(problem.code(), ErrorCode::Unavailable);
    assert!(problem.headers().contains_key("retry-after"));
    assert_eq!(shelf.calls(), 10, "it was not asked");
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(edge.state(), State::HalfOpen);
        assert_eq!(call(&edge, WRITE).await.unwrap(), "read");
    }
    assert_eq!(edge.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_back_after_a_long_outage_is_asked_within_fifteen_seconds() {
    let shelf = Shelf::doing(std::iter::repeat_n(unavailable(), 15));
    let edge = shelf.edge();
    while shelf.calls() < 15 {
        call(&edge, WRITE).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(call(&edge, WRITE).await.unwrap(), "read");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_hangs_gathers_no_callers_without_bound() {
    let shelf = Shelf::doing(std::iter::repeat_n(Next::Hang, 600));
    let edge = shelf.edge();
    let calls = (0..520).map(|_| {
        tokio::spawn({
            let edge = edge.clone();
            async move { call(&edge, WRITE).await }
        })
    });
    let mut refused = 0;
    for call in calls.collect::<Vec<_>>() {
        let problem = Problem::from(call.await.unwrap().unwrap_err());
        refused += usize::from(problem.code() == ErrorCode::Unavailable);
    }
    assert_eq!((shelf.calls(), refused), (512, 8));
}

#[tokio::test(start_paused = true)]
async fn cause_and_trace_go_along() {
    let shelf = Shelf::default();
    let edge = shelf.edge();
    let cause = Cause::start();
    let context = RequestContext { correlation_id: cause.correlation_id, trace: cause.trace };
    context.scope(call(&edge, READ)).await.unwrap();
    let there = shelf.seen().context.unwrap();
    assert_eq!(there.correlation_id, cause.correlation_id);
    assert_eq!(there.trace.trace_id(), cause.trace.trace_id());
    assert_ne!(there.trace, cause.trace, "one hop further");

    // A call that brings a cause of its own, as a reaction to a message does, keeps it.
    let own = Cause::start();
    let mut request = Request::post(READ).body(Body::empty()).unwrap();
    RequestContext { correlation_id: own.correlation_id, trace: own.trace }.write(request.headers_mut());
    context.scope(edge.clone().oneshot(request)).await.unwrap();
    assert_eq!(shelf.seen().context.unwrap().correlation_id, own.correlation_id);
    assert!(shelf.seen().headers.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn a_method_that_is_not_in_the_table_cannot_be_called() {
    let shelf = Shelf::default();
    let status = call(&shelf.edge(), "/test.Shelf/Burn").await.unwrap_err();
    assert_eq!((status.code(), shelf.calls()), (Code::Unimplemented, 0));
    assert!(status.message().contains("/test.Shelf/Burn"));
}
