use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::Service;

use crate::Peers;

/// Carries gRPC calls to the instances of one role, over HTTP/2 without TLS.
#[derive(Clone, Debug)]
pub struct Channel {
    peers: Peers,
    role: &'static str,
}

impl Channel {
    pub(crate) fn new(peers: Peers, role: &'static str) -> Self {
        Self { peers, role }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { peers, role } = self.clone();
        Box::pin(async move {
            match peers.send_grpc(role, request.map(axum::body::Body::new)).await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(error) => Err(Status::unavailable(format!("{role}: {error}"))),
            }
        })
    }
}
