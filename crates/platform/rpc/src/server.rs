use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bookworm_http::{Problem, RequestContext, grpc::to_status};
use bookworm_kernel::ErrorCode;
use bookworm_resilience::Deadline;
use http::{Request, Response};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use tracing::Instrument;

use crate::{Transport, spans, wire};

/// Stands before a gRPC service: the answer belongs to the caller's correlation and trace, and ends with the caller's
/// deadline.
#[derive(Debug, Clone)]
pub struct Answering<S>(pub S);

impl<S> Service<Request<Body>> for Answering<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (cause, mut step) = RequestContext::answering(request.headers(), || spans::describe(request.uri().path()));
        let deadline = wire::read_timeout(request.headers()).map(Deadline::after);
        let span = tracing::info_span!(
            "rpc",
            method = request.uri().path(),
            correlation_id = %cause.correlation_id,
            trace_id = cause.trace.trace_id(),
            span_id = cause.trace.span_id(),
        );
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let answer = self.0.call(request);
        let within_time = async move {
            let Some(deadline) = deadline else { return answer.await };
            let late = || Ok(to_status(&Problem::new(ErrorCode::Timeout)).into_http());
            if deadline.left().is_zero() {
                return late();
            }
            tokio::time::timeout_at(deadline.instant(), deadline.scope(answer)).await.unwrap_or_else(|_| late())
        };
        let within_time = async move {
            let begun = Instant::now();
            let answer = within_time.await;
            if let Ok(answer) = &answer {
                // A unary method that fails says so in the answer's head.
                let code = Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code());
                let word = format!("{code:?}");
                metrics::counter!("rpc_requests_total", "method" => method.clone(), "code" => word).increment(1);
                metrics::histogram!("rpc_request_duration_seconds", "method" => method).record(begun.elapsed());
                spans::answered(&mut step, code, spans::is_servers_fault(code));
            }
            answer
        };
        Box::pin(cause.scope(within_time).instrument(span))
    }
}

/// The way into a gRPC service of this process: no socket, the same layers as over one.
pub fn local<S>(service: S) -> Transport
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(Answering(service).map_err(|never: Infallible| match never {}))
}
