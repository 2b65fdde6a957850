use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::OriginalUri, response::IntoResponse};
use bookworm_http::{Problem, RequestContext, context::write_trace};
use bookworm_kernel::ErrorCode;
use bookworm_registry::{Instance, Key};
use bookworm_resilience::{Deadline, Note, Outage};
use bookworm_rpc::{Balancer, Nobody, Outcome, Picked};
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tower::Service;
use tower_http::timeout::TimeoutBody;

use crate::{
    HEADER, Peers,
    headers::{asks_for_upgrade, remove_hop_by_hop, remove_internal, write_time_left},
    lent::Lender,
    peers::{Base, Shared, address_of, tag_of},
    tunnel,
};

/// How long an answer's body may pause. Event streams are pinged four times as often.
const PAUSE: Duration = Duration::from_secs(60);
/// When a client should ask again that met no instance.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How many instances are tried for one request.
const ATTEMPTS: usize = 3;

/// Passes HTTP requests on to the instances of one role: bodies as they come, both ways, and connections that change
/// their protocol. What goes wrong on the way is answered as a problem. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    peers: Peers,
    role: &'static str,
    balancer: Balancer<Base>,
    capability: Option<&'static str>,
    outage: Arc<Outage>,
}

/// Which instance gets a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// Any.
    Any,
    /// Any; where it does not have it (404), another. For what not every release has.
    Holding,
    /// The one with this tag, as [`tag_of`](crate::tag_of) makes it; any other where none has it.
    Tagged(String),
}

/// Why a request went nowhere.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error(transparent)]
    Nobody(Nobody),
    #[error("no instance can be reached: {0}")]
    Away(hyper_util::client::legacy::Error),
    #[error("the connection broke: {0}")]
    Broken(hyper_util::client::legacy::Error),
}

impl Upstream {
    pub(crate) fn new(peers: Peers, role: &'static str, balancer: Balancer<Base>, outage: Arc<Outage>) -> Self {
        Self { peers, role, balancer, capability: None, outage }
    }

    /// The same; requests go to instances that announced this capability, while there are any.
    #[must_use]
    pub fn preferring(&self, capability: &'static str) -> Self {
        Self { capability: Some(capability), ..self.clone() }
    }

    /// Whether the instance with this tag is known.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.peers.directory(self.role).view().of(self.role).any(|member| is_tagged(&member.instance, tag))
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
        match self.send(&pick, request).await {
            Ok(response) => {
                self.log(None);
                step.set("http.response.status_code", i64::from(response.status().as_u16()));
                if response.status().is_client_error() || response.status().is_server_error() {
                    step.fail(response.status().as_u16().to_string());
                }
                self.answer(response, client)
            }
            Err(error) => {
                step.fail("unavailable");
                metrics::counter!("fleet_requests_failed_total", "role" => self.role).increment(1);
                self.log(Some(&error));
                let detail = "This part of the shop cannot be reached. Please try again in a moment.";
                Problem::new(ErrorCode::Unavailable).detail(detail).retry_after(RETRY_AFTER).into_response()
            }
        }
    }

    /// Says once that the role cannot be reached, and when it can be again.
    fn log(&self, error: Option<&Unreached>) {
        let note = if error.is_some() { self.outage.failed() } else { self.outage.answered() };
        let why = error.map(ToString::to_string).unwrap_or_default();
        match note {
            Some(Note::Began) => tracing::warn!(role = self.role, why, "requests are not passed on"),
            Some(Note::GoesOn { failed }) => {
                tracing::warn!(role = self.role, why, failed, "requests are still not passed on");
            }
            Some(Note::Ended { failed, lasted }) => {
                tracing::info!(role = self.role, failed, seconds = lasted.as_secs(), "requests are passed on again");
            }
            None => {}
        }
    }

    /// Sends a request to one instance after the other until one answers. Another is only asked when the first cannot
    /// have begun to work on the request, or when that would change nothing.
    async fn send(&self, pick: &Pick, request: Request<Body>) -> Result<Response<Incoming>, Unreached> {
        let (mut head, body) = request.into_parts();
        let (path, lender) = (head.uri.path_and_query().cloned(), Lender::new(body));
        let Shared { token, http, .. } = self.peers.shared();
        let mut tried: Vec<Key> = Vec::new();
        let mut last = None;
        while tried.len() < ATTEMPTS {
            let picked = match self.pick(pick, &tried).await {
                Ok(picked) => picked,
                Err(nobody) => return last.unwrap_or(Err(Unreached::Nobody(nobody))),
            };
            let key = picked.instance().key.clone();
            if tried.contains(&key) {
                break;
            }
            tried.push(key);
            head.uri = uri(picked.connection(), path.clone());
            if let Some(token) = token {
                head.headers.insert(HEADER, token.pass(&head.method, &head.uri));
            }
            let answer = http.request(Request::from_parts(head.clone(), lender.lend())).await;
            picked.report(match &answer {
                Ok(response) if !says_it_cannot(response.status()) => Outcome::Answered,
                _ => Outcome::Failed,
            });
            let may_repeat = lender.is_whole() && head.method.is_safe();
            last = Some(match answer {
                Ok(response) if *pick == Pick::Holding && response.status() == StatusCode::NOT_FOUND && may_repeat => {
                    Ok(response)
                }
                Ok(response) => return Ok(response),
                Err(error) if may_repeat || lender.is_whole() && error.is_connect() => Err(Unreached::Away(error)),
                Err(error) => return Err(Unreached::Broken(error)),
            });
        }
        last.unwrap_or(Err(Unreached::Nobody(Nobody(self.role))))
    }

    async fn pick(&self, pick: &Pick, tried: &[Key]) -> Result<Picked<Base>, Nobody> {
        if let Pick::Tagged(tag) = pick
            && let Some(picked) = self.balancer.find(|instance| is_tagged(instance, tag))
        {
            return Ok(picked);
        }
        self.balancer.pick_able(tried, self.capability).await
    }

    fn answer(&self, mut response: Response<Incoming>, client: Option<OnUpgrade>) -> Response<Body> {
        *response.version_mut() = Version::default();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else { return Problem::new(ErrorCode::Internal).into_response() };
            let Shared { tunnels, leaving, .. } = self.peers.shared();
            tunnels.spawn(tunnel::run(client, hyper::upgrade::on(&mut response), leaving.clone()));
            return response.map(|_| Body::empty());
        }
        remove_hop_by_hop(response.headers_mut());
        response.map(|body| Body::new(TimeoutBody::new(PAUSE, body)))
    }
}

/// Whether an instance answers that it cannot do its work now, as `Unavailable` and `DeadlineExceeded` say of a call. It
/// may be the only one: an instance that is cut off from its database answers sooner than those that work, and would be
/// asked before them.
fn says_it_cannot(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

fn is_tagged(instance: &Instance, tag: &str) -> bool {
    address_of(instance).is_some_and(|address| tag_of(&address) == tag)
}

/// The address of a path at an instance.
pub(crate) fn uri(base: Base, path: Option<PathAndQuery>) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(base.scheme);
    parts.authority = Some(base.authority);
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // Scheme, authority and path together are always a URI.
    Uri::from_parts(parts).unwrap_or_default()
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
