//! Sockets to requests: HTTP/1.1 and HTTP/2, with limits that one client cannot use up for all.

mod body;
mod socket;
mod stall;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bookworm_kernel::ErrorCode;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub use self::body::TooSlow;
use self::{
    body::{Paced, Parted, Rest, Waiting},
    socket::{Framing, Socket, Stream},
};
use crate::{
    Problem,
    places::{Full, Place, Places},
    tls::Tls,
};

/// How long a client may take to send a request's head, and how long a connection may wait for its next request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most requests that run at once on one HTTP/2 connection: what RFC 9113 asks for at least.
const MAX_STREAMS: u32 = 100;
/// How many streams a client may open and reset before they are looked at (CVE-2023-44487), and how many it may make
/// us reset; beyond either the connection ends.
const MAX_RESETS: (usize, usize) = (20, 256);
/// What an HTTP/2 client may send ahead of its reader: for one stream, and for a connection.
const WINDOWS: (u32, u32) = (64 * 1024, 1024 * 1024);
/// How many refused connections get an answer at the same time; others are only closed.
const MAX_FAREWELLS: usize = 32;
/// How long one of them is waited for.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often the log says that connections are refused.
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(60);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// In all.
    pub all: usize,
    /// For one address; `all` or more: whatever there is.
    pub each: usize,
}

impl Connections {
    /// Whatever the system gives: for tests of something else.
    pub const MANY: Self = Self { all: usize::MAX, each: usize::MAX };
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// The grace ran out on this many connections.
    Aborted(usize),
}

/// Why a request that the library accepts is none. Put among its extensions; whoever answers says 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Answers HTTP/1.1 and HTTP/2 on `listener`, within TLS where there is some, until `shutdown` is cancelled. Then it stops accepting, lets requests in
/// flight finish, closes idle connections, and after `grace` drops what is left.
///
/// Each request carries the client's address as `ConnectInfo<SocketAddr>`. A connection beyond `connections` is
/// answered with 429 (its address has its share) or 503 (there are no more), and closed.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    connections: Connections,
    shutdown: CancellationToken,
    grace: Duration,
) -> Drained {
    let places = Places::new(connections.all, connections.each);
    let mut refusals = Refusals::new();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = running.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match places.take(Some(peer.ip())) {
                    Ok(place) => {
                        let open = Open::new(place);
                        running.spawn(connection(stream, tls.clone(), peer, open, router.clone(), shutdown.clone()));
                    }
                    Err(full) => refusals.refuse(stream, peer.ip(), full),
                },
                Err(error) => {
                    // Out of file descriptors, mostly: connections that end free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_ok() {
        return Drained::Clean;
    }
    let left = running.len();
    running.shutdown().await;
    if left == 0 { Drained::Clean } else { Drained::Aborted(left) }
}

/// The place of an open connection, and its part in the metric, which counts those of all listeners.
struct Open {
    _place: Place,
    all: metrics::Gauge,
}

impl Open {
    fn new(place: Place) -> Self {
        let all = metrics::gauge!("http_connections");
        all.increment(1.0);
        Self { _place: place, all }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.decrement(1.0);
    }
}

/// Answers connections for which there is no place.
struct Refusals {
    farewells: Arc<Semaphore>,
    logged: Option<Instant>,
}

impl Refusals {
    fn new() -> Self {
        Self { farewells: Arc::new(Semaphore::new(MAX_FAREWELLS)), logged: None }
    }

    fn refuse(&mut self, stream: TcpStream, address: IpAddr, full: Full) {
        metrics::counter!("http_connections_refused_total", "reason" => full.name()).increment(1);
        if self.logged.is_none_or(|logged| logged.elapsed() >= REFUSALS_LOGGED_EVERY) {
            self.logged = Some(Instant::now());
            tracing::warn!(%address, reason = full.name(), "connections are refused");
        }
        let Ok(turn) = Arc::clone(&self.farewells).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, farewell(stream, full)).await;
            drop(turn);
        });
    }
}

/// Says why, and waits until the client has closed too: a close with bytes unread would take the answer away.
async fn farewell(mut stream: TcpStream, full: Full) -> std::io::Result<()> {
    stream.write_all(&refusal(full)).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

fn refusal(full: Full) -> Vec<u8> {
    let problem = match full {
        Full::Address => Problem::new(ErrorCode::TooManyRequests).detail("Your address has too many connections open."),
        Full::All => Problem::new(ErrorCode::Unavailable).detail("The shop has too many connections open."),
    };
    let body = serde_json::to_string(&problem.body()).unwrap_or_default();
    let status = problem.status();
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
    .into_bytes()
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone, Copy)]
struct Streams;

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(Waiting::run(stream));
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<Tls>,
    peer: SocketAddr,
    open: Open,
    router: Router,
    shutdown: CancellationToken,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not available");
    }
    // The time-out of the head starts with its first byte; one that never comes is waited for no longer.
    tokio::select! {
        () = shutdown.cancelled() => return,
        first = tokio::time::timeout(HEAD_TIMEOUT, stream.readable()) => if !matches!(first, Ok(Ok(()))) { return },
    }
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => tokio::select! {
            () = shutdown.cancelled() => return,
            greeted = tls.accept(stream) => match greeted {
                Some(stream) => Stream::Tls(Box::new(stream)),
                None => return,
            },
        },
    };
    let mut builder = auto::Builder::new(Streams);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESETS.0)
        .max_local_error_reset_streams(MAX_RESETS.1)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    let framing = Framing::default();
    let socket = Socket::new(stream, open, framing.clone());
    let stop = shutdown.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answer = answer(request, peer, framing.clone(), router.clone(), stop.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke");
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    framing: Framing,
    router: Router,
    shutdown: CancellationToken,
) -> Response<Body> {
    let version = request.version();
    let malformed = malformed(&request, &framing);
    let expects_continue = request.headers().contains_key(header::EXPECT);
    let (mut request, rest) = paced(request, shutdown);
    request.extensions_mut().insert(ConnectInfo(peer));
    if let Some(malformed) = malformed {
        request.extensions_mut().insert(malformed);
    }
    let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    if version == Version::HTTP_2 {
        return match Waiting::current() {
            Some(waiting) => response.map(|body| Body::new(Parted::new(body, waiting))),
            None => response,
        };
    }
    let can_go_on = match rest {
        Some(rest) => rest.can_go_on(expects_continue).await,
        None => true,
    };
    if !can_go_on || malformed.is_some() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The request with a body at a minimum rate; without one it costs nothing.
fn paced(request: Request<Incoming>, shutdown: CancellationToken) -> (Request<Body>, Option<Rest>) {
    if request.body().is_end_stream() {
        return (request.map(|_| Body::empty()), None);
    }
    let (parts, body) = request.into_parts();
    let (body, rest) = Paced::new(body, shutdown);
    (Request::from_parts(parts, Body::new(body)), Some(rest))
}

/// What RFC 9112 (3.2 and 6.3) forbids and the library lets pass.
fn malformed<B>(request: &Request<B>, framing: &Framing) -> Option<Malformed> {
    if request.version() != Version::HTTP_11 {
        return None;
    }
    match request.headers().get_all(header::HOST).iter().count() {
        0 => return Some(Malformed("The request has no Host header.")),
        1 => {}
        _ => return Some(Malformed("The request has more than one Host header.")),
    }
    (request.headers().contains_key(header::TRANSFER_ENCODING) && framing.is_ambiguous())
        .then_some(Malformed("The request has both Content-Length and Transfer-Encoding."))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        ended: tokio::task::JoinHandle<Drained>,
    }

    async fn run(router: Router, grace: Duration) -> Running {
        run_with(router, Connections::MANY, grace).await
    }

    async fn run_with(router: Router, connections: Connections, grace: Duration) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, None, router, connections, shutdown.clone(), grace));
        Running { address, shutdown, ended }
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    fn slow(started: &Arc<Notify>, go: &Arc<Notify>) -> Router {
        let (started, go) = (Arc::clone(started), Arc::clone(go));
        Router::new().route(
            "/slow",
            get(async move || {
                started.notify_one();
                go.notified().await;
                "done"
            }),
        )
    }

    #[tokio::test]
    async fn requests_know_the_clients_address() {
        let router =
            Router::new().route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }));
        let running = run(router, Duration::from_secs(5)).await;
        let stream = ask(running.address, "/").await;
        let peer = stream.local_addr().unwrap().to_string();
        let text = answer(stream).await;
        assert!(text.ends_with(&peer), "{text}");
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_and_idle_connections_do_not_hold_up_the_end() {
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let running = run(slow(&started, &go), Duration::from_secs(30)).await;
        let idle = TcpStream::connect(running.address).await.unwrap();
        let stream = ask(running.address, "/slow").await;
        started.notified().await;
        running.shutdown.cancel();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(TcpStream::connect(running.address).await.is_err(), "nothing new is accepted");
        go.notify_one();
        assert!(answer(stream).await.ends_with("done"));
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);
        drop(idle);
    }

    #[tokio::test]
    async fn after_the_grace_what_is_left_is_dropped() {
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let running = run(slow(&started, &go), Duration::from_millis(50)).await;
        let stream = ask(running.address, "/slow").await;
        started.notified().await;
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Aborted(1));
        assert_eq!(answer(stream).await, "");
    }

    /// Sends these bytes on a connection of its own, and reads until it is closed.
    async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        answer(stream).await
    }

    /// The head of the next answer.
    async fn head(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(text).unwrap().to_lowercase()
    }

    /// Answers at once, and never looks at a body.
    fn early() -> Router {
        Router::new().fallback(|| async { (http::StatusCode::UNAUTHORIZED, "") })
    }

    #[tokio::test]
    async fn connections_beyond_the_limits_are_told_so() {
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let one = Connections { all: 20, each: 1 };
        let running = run_with(slow(&started, &go), one, Duration::from_secs(5)).await;
        let pending = ask(running.address, "/slow").await;
        started.notified().await;
        let refused = answer(TcpStream::connect(running.address).await.unwrap()).await;
        assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: 1"), "{refused}");
        assert!(refused.contains("\"code\":\"too_many_requests\""), "{refused}");
        go.notify_one();
        assert!(answer(pending).await.ends_with("done"));
        // The place is free once the connection is gone.
        let mut tries = 0;
        while !exchange(running.address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .contains(" 404 ")
        {
            tries += 1;
            assert!(tries < 1000, "the place never came back");
        }
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);

        let all = Connections { all: 1, each: 1 };
        let running = run_with(slow(&started, &go), all, Duration::from_secs(5)).await;
        let pending = ask(running.address, "/slow").await;
        started.notified().await;
        let refused = answer(TcpStream::connect(running.address).await.unwrap()).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\"code\":\"unavailable\""), "{refused}");
        drop(pending);
        go.notify_one();
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    }

    #[tokio::test]
    async fn after_an_early_answer_the_connection_goes_on_or_says_that_it_does_not() {
        let running = run(early(), Duration::from_secs(5)).await;
        for (length, sent) in [(9, 9), (100_000, 100_000), (0, 0)] {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            for _ in 0..3 {
                let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                // After the head: the answer may be ready before.
                stream.write_all(&vec![b'x'; sent]).await.unwrap();
                let head = head(&mut stream).await;
                assert!(head.starts_with("http/1.1 401 ") && !head.contains("connection: close"), "{length}: {head}");
            }
        }
        for (what, request) in [
            ("never comes", "Content-Length: 9\r\n\r\n1"),
            ("is large", "Content-Length: 99999999\r\n\r\nx"),
            ("is larger than anything", "Content-Length: 9223372036854775808\r\n\r\nx"),
            ("waits for leave", "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{request}");
            let response = exchange(running.address, request.as_bytes()).await.to_lowercase();
            assert!(
                response.starts_with("http/1.1 401 ") && response.contains("connection: close"),
                "a body that {what}: {response}"
            );
        }
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_holds_up_nothing_at_the_end() {
        let started = Arc::new(Notify::new());
        let begun = Arc::clone(&started);
        let router = Router::new().fallback(async move |body: Body| {
            begun.notify_one();
            axum::body::to_bytes(body, 100).await.map_err(|_| http::StatusCode::REQUEST_TIMEOUT)
        });
        let running = run(router, Duration::from_secs(60)).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1").await.unwrap();
        started.notified().await;
        running.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(8), running.ended).await;
        assert_eq!(ended.expect("before the body's own time-out").unwrap(), Drained::Clean);
        assert!(answer(stream).await.contains("connection: close"));
    }

    #[tokio::test]
    async fn requests_that_could_be_read_in_two_ways_are_marked() {
        let router = Router::new().fallback(|malformed: Option<axum::Extension<Malformed>>, _: Body| async move {
            malformed.map_or("fine", |axum::Extension(Malformed(why))| why)
        });
        let running = run(router, Duration::from_secs(5)).await;
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "fine"),
            ("GET / HTTP/1.0\r\n\r\n", "fine"),
            ("GET / HTTP/1.1\r\n\r\n", "The request has no Host header."),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "The request has more than one Host header."),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "The request has both Content-Length and Transfer-Encoding.",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
                "The request has both Content-Length and Transfer-Encoding.",
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "fine"),
        ] {
            let response = exchange(running.address, request.as_bytes()).await;
            assert!(response.ends_with(expected), "{request}: {response}");
        }
        running.shutdown.cancel();
        assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    }
}
