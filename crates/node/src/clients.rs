//! Clients of one service for another. Today every asked role runs in the same process, so a call goes straight into
//! the service: no socket, no serialisation on the wire, the same generated client.

use std::convert::Infallible;

use bookworm_contracts::grpc::Transport;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

/// A transport straight into a gRPC service of this process.
pub fn local<S>(server: S) -> Transport
where
    S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(server.map_err(|never: Infallible| match never {}))
}
