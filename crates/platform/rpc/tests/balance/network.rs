//! Over real sockets: connections that are refused, cut, accepted and never answered, and answered in another protocol.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bookworm_http::{Problem, tls::Connector};
use bookworm_kernel::ErrorCode;
use bookworm_registry::{Directory, Instance};
use bookworm_rpc::{Answering, Balancer, Edge, Method, Protocol, connect, remote};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tonic::{Status, body::Body};
use tower::ServiceExt;

use super::{ROLE, instance};

const READ: &str = "/test.Shelf/Read";
const WRITE: &str = "/test.Shelf/Write";
const METHODS: &[Method] =
    &[Method::repeatable(READ, Duration::from_millis(800)), Method::once(WRITE, Duration::from_millis(800))];

/// An instance that answers gRPC. Aborting the task cuts its connections.
async fn shelf() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(async move {
                let answer = Answering(tower::service_fn(|_: Request<Body>| async {
                    let answer = Response::builder().header("content-type", "application/grpc");
                    Ok::<_, Infallible>(answer.body(Body::new(Full::new(Bytes::from_static(b"read")))).unwrap())
                }));
                let answer = answer.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
                let service = TowerToHyperService::new(answer);
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, serving)
}

fn edge(addresses: &[SocketAddr]) -> Edge {
    let instances = addresses.iter().map(|address| Instance {
        grpc: Some(format!("http://{address}")),
        ..instance(&format!("port-{}", address.port()))
    });
    let connector = Connector::new(None, Duration::from_secs(5));
    let connect = move |instance: &Instance| connect(instance, &connector);
    let balancer = Balancer::new(ROLE, Protocol::Grpc, Directory::fixed(instances), connect);
    Edge::new("test.catalog", remote(balancer, Arc::new(|_: &mut http::request::Parts| {})), METHODS)
}

async fn call(edge: &Edge) -> Result<Bytes, Status> {
    let request = Request::post(READ).body(Body::empty()).unwrap();
    Ok(edge.clone().oneshot(request).await?.into_body().collect().await?.to_bytes())
}

/// Every call is answered although one of two instances is gone.
async fn all_are_answered(well: SocketAddr, gone: SocketAddr) {
    let edge = edge(&[well, gone]);
    for n in 0..100 {
        assert_eq!(call(&edge).await.unwrap(), "read", "call {n}");
    }
}

/// Nobody has seen the question before, so this is no repetition.
#[tokio::test]
async fn a_call_that_must_not_be_repeated_goes_elsewhere_when_there_is_no_connection() {
    let (well, _serving) = shelf().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refuses = listener.local_addr().unwrap();
    drop(listener);
    // Each edge is new: it does not know yet who refuses.
    for _ in 0..20 {
        let request = Request::post(WRITE).body(Body::empty()).unwrap();
        let answer = edge(&[well, refuses]).oneshot(request).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    let request = Request::post(WRITE).body(Body::empty()).unwrap();
    let status = edge(&[refuses]).oneshot(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn one_that_refuses_connections_is_not_noticed() {
    let (well, _serving) = shelf().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refuses = listener.local_addr().unwrap();
    drop(listener);
    all_are_answered(well, refuses).await;
}

#[tokio::test]
async fn one_that_accepts_and_never_answers_is_not_noticed() {
    let (well, _serving) = shelf().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    all_are_answered(well, silent.local_addr().unwrap()).await;
}

#[tokio::test]
async fn one_that_dies_is_not_noticed() {
    let ((well, _serving), (dies, dying)) = (shelf().await, shelf().await);
    let edge = edge(&[well, dies]);
    for n in 0..100 {
        if n == 50 {
            dying.abort();
        }
        assert_eq!(call(&edge).await.unwrap(), "read", "call {n}");
    }
}

#[tokio::test]
async fn what_answers_but_not_in_grpc_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 1024]).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            });
        }
    });
    let problem = Problem::from(call(&edge(&[address])).await.unwrap_err());
    assert!(matches!(problem.code(), ErrorCode::Unavailable | ErrorCode::Timeout), "{problem:?}");
}
