use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Channel, FleetToken, HEADER, Pick, Upstream, lent::Lender};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection waits for its next request: less than the ten seconds after which the other side closes it.
const IDLE: Duration = Duration::from_secs(5);
/// How long an instance that could not be reached is the last choice.
const AVOIDED: Duration = Duration::from_secs(2);
/// How many instances are tried for one request.
const ATTEMPTS: usize = 3;
/// How often a connection that carries calls is asked whether it still is one, and how long that may take.
const PING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));

pub(crate) type HttpClient = Client<HttpConnector, Body>;

/// The other processes of the shop: where the instances of each role are. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Shared>);

struct Shared {
    roles: HashMap<String, Instances>,
    token: Option<Arc<FleetToken>>,
    http: HttpClient,
    grpc: HttpClient,
    /// Connections that were handed over to another protocol.
    tunnels: TaskTracker,
    leaving: CancellationToken,
}

struct Instances {
    all: Vec<Instance>,
    next: AtomicUsize,
}

struct Instance {
    authority: Authority,
    tag: String,
    /// When it was last found unreachable.
    failed: Mutex<Option<Instant>>,
}

/// Why a request went nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error("no instance is known")]
    Nobody,
    #[error("no instance can be reached: {0}")]
    Away(hyper_util::client::legacy::Error),
    #[error("the connection broke: {0}")]
    Broken(hyper_util::client::legacy::Error),
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("roles", &self.0.roles.keys()).finish_non_exhaustive()
    }
}

/// What tells an instance from others in a hub connection's token: twelve hex digits of its address's hash, so that
/// clients learn no address.
#[must_use]
pub fn tag_of(address: &Uri) -> String {
    let digest = Sha256::digest(format!("instance {}", address.authority().map_or("", Authority::as_str)));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl Peers {
    /// The instances of each role, by their `http` addresses; `token` goes with every request to them.
    #[must_use]
    pub fn new(table: impl IntoIterator<Item = (String, Vec<Uri>)>, token: Option<Arc<FleetToken>>) -> Self {
        let instance = |address: Uri| {
            let (tag, authority) = (tag_of(&address), address.into_parts().authority?);
            Some(Instance { authority, tag, failed: Mutex::default() })
        };
        let roles = table.into_iter().map(|(role, addresses)| {
            let all = addresses.into_iter().filter_map(instance).collect();
            (role, Instances { all, next: AtomicUsize::new(rand::random_range(0..1024)) })
        });
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.clone());
        let grpc = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1)
            .build(connector);
        Self(Arc::new(Shared {
            roles: roles.filter(|(_, instances): &(String, Instances)| !instances.all.is_empty()).collect(),
            token,
            http,
            grpc,
            tunnels: TaskTracker::new(),
            leaving: CancellationToken::new(),
        }))
    }

    /// Whether an instance of this role is known.
    #[must_use]
    pub fn knows(&self, role: &str) -> bool {
        self.0.roles.contains_key(role)
    }

    /// Whether the instance of this role with this tag is known.
    #[must_use]
    pub fn has(&self, role: &str, tag: &str) -> bool {
        self.0.roles.get(role).is_some_and(|role| role.all.iter().any(|instance| instance.tag == tag))
    }

    /// Passes HTTP requests on to this role.
    #[must_use]
    pub fn upstream(&self, role: &'static str) -> Upstream {
        Upstream::new(self.clone(), role)
    }

    /// Carries gRPC calls to this role.
    #[must_use]
    pub fn channel(&self, role: &'static str) -> Channel {
        Channel::new(self.clone(), role)
    }

    /// Ends the connections that were handed over, spread over `within`, so that their clients do not all come back at
    /// the same moment.
    pub async fn leave(&self, within: Duration) {
        self.0.leaving.cancel();
        self.0.tunnels.close();
        let _ = tokio::time::timeout(within, self.0.tunnels.wait()).await;
    }

    pub(crate) fn tunnels(&self) -> (&TaskTracker, CancellationToken) {
        (&self.0.tunnels, self.0.leaving.clone())
    }

    pub(crate) async fn send_http(
        &self,
        role: &str,
        pick: &Pick,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Unreached> {
        self.send(&self.0.http, role, pick, request).await
    }

    pub(crate) async fn send_grpc(&self, role: &str, request: Request<Body>) -> Result<Response<Incoming>, Unreached> {
        self.send(&self.0.grpc, role, &Pick::Any, request).await
    }

    /// Sends a request to one instance after the other until one takes it.
    async fn send(
        &self,
        client: &HttpClient,
        role: &str,
        pick: &Pick,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Unreached> {
        let (mut head, body) = request.into_parts();
        let (path, lender) = (head.uri.path_and_query().cloned(), Lender::new(body));
        let mut away = Unreached::Nobody;
        for instance in self.0.roles.get(role).map(|role| role.choose(pick)).unwrap_or_default() {
            head.uri = instance.uri(path.clone());
            if let Some(token) = &self.0.token {
                head.headers.insert(HEADER, token.pass(&head.method, &head.uri));
            }
            match client.request(Request::from_parts(head.clone(), lender.lend())).await {
                Ok(response) => {
                    instance.reached();
                    return Ok(response);
                }
                Err(error) if error.is_connect() && lender.is_whole() => {
                    instance.missed();
                    away = Unreached::Away(error);
                }
                Err(error) => return Err(Unreached::Broken(error)),
            }
        }
        Err(away)
    }
}

impl Instances {
    /// Whom to ask, first choice first.
    fn choose(&self, pick: &Pick) -> Vec<&Instance> {
        if let Pick::Tagged(tag) = pick
            && let Some(instance) = self.all.iter().find(|instance| instance.tag == *tag)
        {
            return vec![instance];
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len().max(1);
        let mut order: Vec<&Instance> = self.all[first..].iter().chain(&self.all[..first]).collect();
        order.sort_by_key(|instance| instance.is_avoided());
        order.truncate(ATTEMPTS);
        order
    }
}

impl Instance {
    fn uri(&self, path: Option<PathAndQuery>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // Scheme, authority and path together are always a URI.
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_avoided(&self) -> bool {
        self.failed().is_some_and(|failed| failed.elapsed() < AVOIDED)
    }

    fn reached(&self) {
        *self.failed() = None;
    }

    fn missed(&self) {
        *self.failed() = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(addresses: &[&'static str]) -> Peers {
        let addresses = addresses.iter().map(|address| Uri::from_static(address)).collect();
        Peers::new([("chat".to_owned(), addresses)], None)
    }

    fn order(peers: &Peers, pick: &Pick) -> Vec<String> {
        peers.0.roles["chat"].choose(pick).iter().map(|instance| instance.authority.to_string()).collect()
    }

    #[test]
    fn each_instance_has_its_turn() {
        let peers = peers(&["http://a:1", "http://b:1", "http://c:1"]);
        let mut firsts: Vec<String> = (0..3).map(|_| order(&peers, &Pick::Any).remove(0)).collect();
        firsts.sort();
        assert_eq!(firsts, ["a:1", "b:1", "c:1"]);
        assert!(peers.knows("chat") && !peers.knows("web"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_away_is_the_last_choice_for_a_while() {
        let peers = peers(&["http://a:1", "http://b:1"]);
        peers.0.roles["chat"].all[0].missed();
        for _ in 0..4 {
            assert_eq!(order(&peers, &Pick::Any), ["b:1", "a:1"]);
        }
        tokio::time::advance(AVOIDED).await;
        assert!((0..2).any(|_| order(&peers, &Pick::Any)[0] == "a:1"));
    }

    #[test]
    fn a_tag_names_one_instance_and_an_unknown_one_any() {
        let peers = peers(&["http://a:1", "http://b:1"]);
        let tag = tag_of(&Uri::from_static("http://b:1/"));
        assert_eq!(tag.len(), 12);
        for _ in 0..4 {
            assert_eq!(order(&peers, &Pick::Tagged(tag.clone())), ["b:1"]);
        }
        assert_eq!(order(&peers, &Pick::Tagged("gone".to_owned())).len(), 2);
    }
}
