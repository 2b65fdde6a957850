use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::OriginalUri, response::IntoResponse};
use bookworm_http::{Problem, RequestContext, context::write_trace};
use bookworm_kernel::ErrorCode;
use bookworm_resilience::Deadline;
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tower::Service;
use tower_http::timeout::TimeoutBody;

use crate::{
    Peers,
    headers::{asks_for_upgrade, remove_hop_by_hop, remove_internal, write_time_left},
    tunnel,
};

/// How long an answer's body may pause. Event streams are pinged four times as often.
const PAUSE: Duration = Duration::from_secs(60);
/// When a client should ask again that met no instance.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Passes HTTP requests on to the instances of one role: bodies as they come, both ways, and connections that change
/// their protocol. What goes wrong on the way is answered as a problem. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    peers: Peers,
    role: &'static str,
}

/// Which instance gets a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// Any.
    Any,
    /// The one with this tag, as [`tag_of`](crate::tag_of) makes it; any other where none has it.
    Tagged(String),
}

impl Upstream {
    pub(crate) fn new(peers: Peers, role: &'static str) -> Self {
        Self { peers, role }
    }

    /// Whether the instance with this tag is known.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.peers.has(self.role, tag)
    }

    /// Passes a request on to the instance that `pick` names.
    pub async fn pass(&self, pick: Pick, mut request: Request<Body>) -> Response<Body> {
        let upgrade = asks_for_upgrade(request.headers())
            .and_then(|protocol| Some((protocol, request.extensions_mut().remove::<OnUpgrade>()?)));
        let (protocol, client) = upgrade.unzip();
        prepare(&mut request, protocol);
        let before = RequestContext::current().map(|context| Parent::from(context.trace));
        let method = request.method().clone();
        let mut step = Span::begin(Kind::Client, before, || {
            let attributes = vec![
                KeyValue::new("http.request.method", method.to_string()),
                KeyValue::new("bookworm.role", self.role),
            ];
            (method.to_string().into(), attributes)
        });
        write_trace(step.place(), request.headers_mut());
        match self.peers.send_http(self.role, &pick, request).await {
            Ok(response) => {
                step.set("http.response.status_code", i64::from(response.status().as_u16()));
                if response.status().is_client_error() || response.status().is_server_error() {
                    step.fail(response.status().as_u16().to_string());
                }
                self.answer(response, client)
            }
            Err(error) => {
                step.fail("unavailable");
                metrics::counter!("fleet_requests_failed_total", "role" => self.role).increment(1);
                tracing::warn!(role = self.role, %error, "a request was not passed on");
                let detail = "This part of the shop cannot be reached. Please try again in a moment.";
                Problem::new(ErrorCode::Unavailable).detail(detail).retry_after(RETRY_AFTER).into_response()
            }
        }
    }

    fn answer(&self, mut response: Response<Incoming>, client: Option<OnUpgrade>) -> Response<Body> {
        *response.version_mut() = Version::default();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else { return Problem::new(ErrorCode::Internal).into_response() };
            let (tunnels, leaving) = self.peers.tunnels();
            tunnels.spawn(tunnel::run(client, hyper::upgrade::on(&mut response), leaving));
            return response.map(|_| Body::empty());
        }
        remove_hop_by_hop(response.headers_mut());
        response.map(|body| Body::new(TimeoutBody::new(PAUSE, body)))
    }
}

/// Makes the request one of this process: same method, path, host and body; nothing of the connection it came on.
fn prepare(request: &mut Request<Body>, protocol: Option<HeaderValue>) {
    *request.version_mut() = Version::HTTP_11;
    // A router cuts off the prefix of what is nested in it.
    if let Some(OriginalUri(uri)) = request.extensions_mut().remove() {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().clear();
    let host = request.uri().authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    remove_internal(headers);
    // Whoever answers reads the body or does not; this process has answered the client's question already.
    headers.remove(header::EXPECT);
    if let Some(host) = host {
        headers.entry(header::HOST).or_insert(host);
    }
    if let Some(context) = RequestContext::current() {
        context.write(headers);
    }
    if let Some(deadline) = Deadline::current() {
        write_time_left(headers, deadline.left());
    }
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { Ok(upstream.pass(Pick::Any, request).await) })
    }
}
