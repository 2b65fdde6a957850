//! The way to a role that runs in other processes.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_http::{Problem, grpc::to_status, tls::Connector};
use bookworm_kernel::ErrorCode;
use bookworm_registry::{Instance, Key};
use http::{Request, Response, StatusCode, Uri, request::Parts, uri::Scheme};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, ConnectError, Status, body::Body, transport::Endpoint};
use tower::{ServiceExt, util::BoxCloneSyncService};

use crate::{Balancer, Outcome, Picked, Transport, wire};

/// How long a connection may take to be made, with the greeting of TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection that carries calls is asked whether it still is one, and how long that may take.
const PING_EACH: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// A time-out says nothing of the callee when the caller gave it less than this.
const FAIR_TIME: Duration = Duration::from_millis(100);
/// How many instances are tried for one call while no connection to them can be made.
const CONNECT_ATTEMPTS: usize = 3;

/// Adds to each request what says that it comes from the same fleet.
pub type Sign = Arc<dyn Fn(&mut Parts) + Send + Sync>;

/// The instances that were tried for a call. The edge attaches it to all attempts of a call, so that each goes to
/// another instance.
#[derive(Debug, Clone, Default)]
pub struct Tried(Arc<Mutex<Vec<Key>>>);

impl Tried {
    fn keys(&self) -> Vec<Key> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether it was not tried before.
    fn add(&self, key: Key) -> bool {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !tried.contains(&key);
        tried.push(key);
        is_new
    }
}

/// A connection to an instance, made when it is first used and again whenever it broke; `None` where the instance answers
/// no gRPC, or its address is none.
#[must_use]
pub fn connect(instance: &Instance, connector: &Connector) -> Option<Transport> {
    let mut address = instance.grpc.clone()?.parse::<Uri>().ok()?.into_parts();
    let secure = address.scheme == Some(Scheme::HTTPS);
    // The channel would make its own TLS of `https`.
    address.scheme = Some(Scheme::HTTP);
    let connector = if secure { connector.clone().always() } else { connector.clone() };
    let endpoint = Endpoint::from_shared(Uri::from_parts(address).ok()?.to_string()).ok()?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_EACH)
        .keep_alive_timeout(PING_TIMEOUT)
        .connect_with_connector_lazy(connector);
    let away = |error: tonic::transport::Error| {
        tracing::debug!(error = &error as &dyn Error, "an instance was not reached");
        let mut status = to_status(&Problem::new(ErrorCode::Unavailable));
        status.set_source(Arc::new(error));
        status
    };
    Some(BoxCloneSyncService::new(channel.map_err(away)))
}

/// The way to whichever instance the balancer picks. A call that brings a time limit (`grpc-timeout`) ends with it, also
/// when the instance accepts it and never answers.
#[must_use]
pub fn remote(balancer: Balancer<Transport>, sign: Sign) -> Transport {
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Body>| {
        let (balancer, sign) = (balancer.clone(), sign.clone());
        async move { ask(&balancer, &sign, request).await }
    }))
}

async fn ask(balancer: &Balancer<Transport>, sign: &Sign, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (mut head, body) = request.into_parts();
    let tried = head.extensions.remove::<Tried>().unwrap_or_default();
    let end = wire::read_timeout(&head.headers).map(|limit| Instant::now() + limit);
    // A question is one message; it is buffered so that another instance can be asked.
    let body = body.collect().await?.to_bytes();
    let mut refused = None;
    for _ in 0..CONNECT_ATTEMPTS {
        let picked = match balancer.pick(&tried.keys()).await {
            Ok(picked) => picked,
            Err(nobody) => {
                tracing::debug!(why = %nobody, "a call went nowhere");
                break;
            }
        };
        let is_new = tried.add(picked.instance().key.clone());
        if refused.is_some() && !is_new {
            break;
        }
        let request = Request::from_parts(head.clone(), Body::new(Full::new(body.clone())));
        match ask_one(picked, sign, request, end).await {
            // Nobody has seen the question: also one that must not be repeated may go elsewhere.
            Err(status) if !was_connected(&status) => refused = Some(status),
            answer => return answer,
        }
    }
    let nobody = || to_status(&Problem::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(2)));
    Err(refused.unwrap_or_else(nobody))
}

/// Asks one instance, and reports how it did.
async fn ask_one(
    picked: Picked<Transport>,
    sign: &Sign,
    request: Request<Body>,
    end: Option<Instant>,
) -> Result<Response<Body>, Status> {
    let (mut head, body) = request.into_parts();
    let limit = end.map(|end| end.saturating_duration_since(Instant::now()));
    if let Some(limit) = limit {
        wire::write_timeout(&mut head.headers, limit);
    }
    sign(&mut head);
    let asked = picked.connection().oneshot(Request::from_parts(head, body));
    let answer = match limit {
        Some(limit) => tokio::time::timeout(limit, asked)
            .await
            .unwrap_or_else(|_| Err(to_status(&Problem::new(ErrorCode::Timeout)))),
        None => asked.await,
    };
    let answer = answer.and_then(understand);
    let outcome = match &answer {
        Err(status) if status.code() == Code::Unavailable => Some(Outcome::Failed),
        Err(status) if status.code() == Code::DeadlineExceeded => {
            limit.is_none_or(|limit| limit >= FAIR_TIME).then_some(Outcome::Failed)
        }
        _ => Some(Outcome::Answered),
    };
    match outcome {
        Some(outcome) => picked.report(outcome),
        None => drop(picked),
    }
    answer
}

/// Whether there was a connection to the instance that failed like this.
fn was_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return false;
        }
        cause = error.source();
    }
    true
}

/// Reads an answer's head: a status in it is an error, and an answer that is not gRPC is one as well ("HTTP to gRPC Status
/// Code Mapping" of the gRPC project).
fn understand(answer: Response<Body>) -> Result<Response<Body>, Status> {
    let status = Status::from_header_map(answer.headers());
    match (answer.status(), status) {
        (_, Some(status)) if status.code() != Code::Ok => Err(status),
        (StatusCode::OK, _) => Ok(answer),
        (http, _) => {
            let code = match http {
                StatusCode::BAD_REQUEST => Code::Internal,
                StatusCode::UNAUTHORIZED => Code::Unauthenticated,
                StatusCode::FORBIDDEN => Code::PermissionDenied,
                StatusCode::NOT_FOUND => Code::Unimplemented,
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
                _ => Code::Unknown,
            };
            Err(Status::new(code, format!("the other process answered {http}, not gRPC")))
        }
    }
}
