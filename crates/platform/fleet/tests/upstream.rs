//! Requests that are passed on to several instances of a role, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, response::IntoResponse, routing::any};
use bookworm_fleet::{Peers, Pick, tag_of};
use bookworm_http::Connections;
use bookworm_registry::{Directory, Instance, Key, Load, State};
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tokio_util::sync::CancellationToken;

const ROLE: &str = "catalog";

/// An instance that answers what it was sent, with its own port in front.
async fn echo() -> SocketAddr {
    answers(|address, body| format!("{} {body}", address.port()).into_response()).await
}

async fn answers(answer: impl Fn(SocketAddr, String) -> Response<Body> + Clone + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(any(move |body: String| async move { answer(address, body) }));
    let never = CancellationToken::new();
    tokio::spawn(bookworm_http::serve(listener, None, router, Connections::MANY, never, std::time::Duration::ZERO));
    address
}

/// An instance that takes a request and closes the connection; how many it took.
async fn closes() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            if socket.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, taken)
}

/// An address at which nobody listens.
async fn refuses() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn uri(address: SocketAddr) -> Uri {
    format!("http://{address}/").parse().unwrap()
}

/// A gateway that knows nothing of these instances yet.
fn peers(instances: &[SocketAddr]) -> Peers {
    let addresses = instances.iter().map(|address| uri(*address)).collect();
    Peers::new(Directory::fixed([]), [(ROLE.to_owned(), addresses)], None, None)
}

async fn pass(peers: &Peers, pick: Pick, method: Method) -> Response<Body> {
    let body = if method.is_safe() { Body::empty() } else { Body::from("words") };
    let request = Request::builder().method(method).uri("/words").body(body).unwrap();
    peers.upstream(ROLE).pass(pick, request).await
}

async fn text(response: Response<Body>) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    String::from_utf8(axum::body::to_bytes(response.into_body(), 100).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn an_instance_that_refuses_connections_is_not_noticed() {
    let (well, refuses) = (echo().await, refuses().await);
    for _ in 0..20 {
        let answer = text(pass(&peers(&[well, refuses]), Pick::Any, Method::POST).await).await;
        assert_eq!(answer, format!("{} words", well.port()), "the body is whole");
    }
    let answer = pass(&peers(&[refuses]), Pick::Any, Method::POST).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    let (well, (closes, taken)) = (echo().await, closes().await);
    for _ in 0..20 {
        let answer = text(pass(&peers(&[well, closes]), Pick::Any, Method::GET).await).await;
        assert!(answer.starts_with(&well.port().to_string()), "a question is asked elsewhere");
    }
    taken.store(0, Ordering::SeqCst);
    let mut answered = 0;
    for _ in 0..20 {
        match pass(&peers(&[well, closes]), Pick::Any, Method::POST).await.status() {
            StatusCode::OK => answered += 1,
            status => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
    assert_eq!(answered + taken.load(Ordering::SeqCst), 20, "each order went to one instance");
}

#[tokio::test]
async fn an_instance_that_cannot_do_its_work_is_asked_seldom_however_soon_it_says_so() {
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT] {
        let peers = peers(&[echo().await, answers(move |_, _| status.into_response()).await]);
        let mut refused = 0;
        for _ in 0..40 {
            refused += usize::from(pass(&peers, Pick::Any, Method::POST).await.status() == status);
        }
        assert!(refused <= 5, "{refused} of 40 were refused with {status}");
    }
}

#[tokio::test]
async fn a_tag_names_one_instance_and_an_unknown_one_any() {
    let instances = [echo().await, echo().await];
    let peers = peers(&instances);
    for instance in instances {
        let tag = tag_of(&uri(instance));
        assert_eq!(tag.len(), 12);
        assert!(peers.upstream(ROLE).has(&tag));
        for _ in 0..4 {
            let answer = text(pass(&peers, Pick::Tagged(tag.clone()), Method::POST).await).await;
            assert_eq!(answer, format!("{} words", instance.port()));
        }
    }
    assert!(!peers.upstream(ROLE).has("gone"));
    text(pass(&peers, Pick::Tagged("gone".to_owned()), Method::POST).await).await;
}

/// A page of a new release, and what it asks for, may come to different instances during an upgrade.
#[tokio::test]
async fn what_one_release_has_is_found_whoever_is_asked_first() {
    let (well, lacks, other) = (echo().await, lacks().await, lacks().await);
    for _ in 0..20 {
        text(pass(&peers(&[well, lacks]), Pick::Holding, Method::GET).await).await;
    }
    assert_eq!(pass(&peers(&[lacks]), Pick::Holding, Method::GET).await.status(), StatusCode::NOT_FOUND);
    let both = peers(&[lacks, other]);
    assert_eq!(pass(&both, Pick::Holding, Method::GET).await.status(), StatusCode::NOT_FOUND, "nobody has it");
}

/// An instance without anything.
async fn lacks() -> SocketAddr {
    answers(|_, _| StatusCode::NOT_FOUND.into_response()).await
}

#[tokio::test]
async fn a_request_that_failed_says_who_is_away_only_where_nobody_else_does() {
    let away = refuses().await;
    let configured = peers(&[away]);
    assert!(!configured.is_away(ROLE), "nothing is known yet");
    assert_eq!(pass(&configured, Pick::Any, Method::GET).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(configured.is_away(ROLE));

    let instance = Instance {
        key: Key::new(ROLE, "one").unwrap(),
        generation: 0,
        grpc: None,
        http: Some(format!("http://{away}")),
        version: String::new(),
        zone: String::new(),
        state: State::Ready,
        capabilities: Vec::new(),
        load: Load::default(),
    };
    let announced = Peers::new(Directory::fixed([instance]), [], None, None);
    assert_eq!(pass(&announced, Pick::Any, Method::GET).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!announced.is_away(ROLE), "it says itself that it is ready");
    assert!(Peers::new(Directory::fixed([]), [], None, None).is_away(ROLE), "nobody is there");
}
