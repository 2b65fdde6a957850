use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most requests that run at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// The grace ran out on this many connections.
    Aborted(usize),
}

/// Answers HTTP/1.1 and HTTP/2 on `listener` until `shutdown` is cancelled. Then it stops accepting, lets requests in
/// flight finish, closes idle connections, and after `grace` drops what is left.
///
/// Each request carries the client's address as `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) -> Drained {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, router.clone(), shutdown.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: connections that end free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_ok() {
        return Drained::Clean;
    }
    let left = connections.len();
    connections.shutdown().await;
    if left == 0 { Drained::Clean } else { Drained::Aborted(left) }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not available");
    }
    // The time-out of the head starts with its first byte; one that never comes is waited for no longer.
    tokio::select! {
        () = shutdown.cancelled() => return,
        first = tokio::time::timeout(HEAD_TIMEOUT, stream.readable()) => if !matches!(first, Ok(Ok(()))) { return },
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, router, shutdown.clone(), grace));
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
}
