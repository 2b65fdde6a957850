use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bookworm_http::tls::{Connector, Tls};
use bookworm_registry::{Directory, Instance, Key, Load, State};
use bookworm_resilience::Outage;
use bookworm_rpc::{Balancer, EndpointStatus, Protocol, Sign, Transport};
use bytes::Bytes;
use http::{
    Method, Request, StatusCode, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{DRAIN, FleetToken, HEADER, Upstream, upstream};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection waits for its next request: less than the ten seconds after which the other side closes it.
const IDLE: Duration = Duration::from_secs(5);
/// How long a process may take to answer [`Peers::drain`].
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for [`Peers::read`], whose reader waits for all of them.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest answer that [`Peers::read`] takes.
const LONGEST_ANSWER: usize = 32 << 20;

pub(crate) type HttpClient = Client<Connector, Body>;

/// Where an instance is reached: `http` or `https`, host and port.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub scheme: Scheme,
    pub authority: Authority,
}

impl Base {
    fn of(address: Uri) -> Option<Self> {
        let parts = address.into_parts();
        Some(Self { scheme: parts.scheme?, authority: parts.authority? })
    }
}

/// The other processes of the shop: where the instances of each role are, and the ways there. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Shared>);

/// How the instances of a role are chosen, and whether all of them are away.
type Balanced = (Balancer<Base>, Arc<Outage>);

pub(crate) struct Shared {
    announced: Directory,
    /// Roles whose addresses were configured.
    fixed: HashMap<String, Directory>,
    pub token: Option<Arc<FleetToken>>,
    pub http: HttpClient,
    connector: Connector,
    /// One for each role, so that all that goes there shares what is known of the instances.
    balancers: Mutex<HashMap<&'static str, Balanced>>,
    transports: Mutex<HashMap<&'static str, (Balancer<Transport>, Transport)>>,
    /// Connections that were handed over to another protocol.
    pub tunnels: TaskTracker,
    pub leaving: CancellationToken,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("fixed", &self.0.fixed.keys()).finish_non_exhaustive()
    }
}

/// Why a process did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// It answers no other processes.
    #[error("it answers no other processes: it has no fleet.internal_listen")]
    NoAddress,
    /// There is no way there.
    #[error("it cannot be reached")]
    Away(#[from] hyper_util::client::legacy::Error),
    /// It takes too long.
    #[error("it does not answer")]
    Late,
    /// It does not believe us, or is of a release that cannot.
    #[error("it answered {0}: 401 means another fleet.token, 404 an older release")]
    Refused(StatusCode),
    /// Its answer broke off, or is longer than any should be.
    #[error("its answer cannot be read")]
    Unreadable,
}

/// What tells an instance from others in a hub connection's token: twelve hex digits of its address's hash, so that
/// clients learn no address.
#[must_use]
pub fn tag_of(address: &Uri) -> String {
    let digest = Sha256::digest(format!("instance {}", address.authority().map_or("", Authority::as_str)));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Where an instance answers HTTP of other processes.
pub(crate) fn address_of(instance: &Instance) -> Option<Uri> {
    instance.http.as_deref()?.parse().ok()
}

impl Peers {
    /// Finds instances wherever they announce themselves; those of a role in `endpoints` at these addresses alone.
    /// `token` goes with every request to them; `tls` is for those whose addresses say `https`.
    #[must_use]
    pub fn new(
        announced: Directory,
        endpoints: impl IntoIterator<Item = (String, Vec<Uri>)>,
        token: Option<Arc<FleetToken>>,
        tls: Option<Tls>,
    ) -> Self {
        let fixed = endpoints.into_iter().map(|(role, addresses)| {
            let instances = addresses.iter().filter_map(|address| at(&role, address));
            let directory = Directory::fixed(instances);
            (role, directory)
        });
        let connector = Connector::new(tls, CONNECT_TIMEOUT);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.clone());
        Self(Arc::new(Shared {
            announced,
            fixed: fixed.collect(),
            token,
            http,
            connector,
            balancers: Mutex::default(),
            transports: Mutex::default(),
            tunnels: TaskTracker::new(),
            leaving: CancellationToken::new(),
        }))
    }

    /// Where the instances of this role are.
    #[must_use]
    pub fn directory(&self, role: &str) -> &Directory {
        self.0.fixed.get(role).unwrap_or(&self.0.announced)
    }

    /// Passes HTTP requests on to this role.
    #[must_use]
    pub fn upstream(&self, role: &'static str) -> Upstream {
        let new = || {
            let base = |instance: &Instance| Base::of(address_of(instance)?);
            (Balancer::new(role, Protocol::Http, self.directory(role).clone(), base), Arc::default())
        };
        let (balancer, outage) = lock(&self.0.balancers).entry(role).or_insert_with(new).clone();
        Upstream::new(self.clone(), role, balancer, outage)
    }

    /// Carries gRPC calls to this role.
    #[must_use]
    pub fn transport(&self, role: &'static str) -> Transport {
        let new = || {
            let connector = self.0.connector.clone();
            let connect = move |instance: &Instance| bookworm_rpc::connect(instance, &connector);
            let balancer = Balancer::new(role, Protocol::Grpc, self.directory(role).clone(), connect);
            (balancer.clone(), bookworm_rpc::remote(balancer, self.sign()))
        };
        lock(&self.0.transports).entry(role).or_insert_with(new).1.clone()
    }

    /// Whether a role in other processes is away: nobody of it is ready. Where its addresses were configured nobody says
    /// who is, and requests that are not passed on do; elsewhere one that failed, perhaps the last for hours, says less than
    /// the instances themselves.
    #[must_use]
    pub fn is_away(&self, role: &str) -> bool {
        if self.0.fixed.contains_key(role) {
            return lock(&self.0.balancers).get(role).is_some_and(|(_, outage)| outage.is_on());
        }
        let view = self.directory(role).view();
        !view.of(role).any(|member| member.instance.state == State::Ready && member.verdict.is_none())
    }

    /// The instances that this process leaves alone for a while, because what it asked them failed. In order.
    #[must_use]
    pub fn ejected(&self) -> Vec<Key> {
        let mut ejected: Vec<Key> =
            self.endpoints().filter(|endpoint| endpoint.ejected).map(|found| found.key).collect();
        ejected.sort_unstable();
        ejected.dedup();
        ejected
    }

    /// What is known of every instance that this process has asked, by each way.
    fn endpoints(&self) -> impl Iterator<Item = EndpointStatus> {
        let http: Vec<_> = lock(&self.0.balancers).values().map(|(balancer, _)| balancer.clone()).collect();
        let grpc: Vec<_> = lock(&self.0.transports).values().map(|(balancer, _)| balancer.clone()).collect();
        let http = http.into_iter().flat_map(|balancer| balancer.endpoints());
        http.chain(grpc.into_iter().flat_map(|balancer| balancer.endpoints()))
    }

    /// Makes connections to other processes.
    #[must_use]
    pub fn connector(&self) -> Connector {
        self.0.connector.clone()
    }

    /// Adds the pass of this process to a call.
    #[must_use]
    pub fn sign(&self) -> Sign {
        let token = self.0.token.clone();
        Arc::new(move |head| {
            if let Some(token) = &token {
                head.headers.insert(HEADER, token.pass(&head.method, &head.uri));
            }
        })
    }

    /// Has others leave the process of this instance alone, or, with `drain` false, ask it again.
    ///
    /// # Errors
    /// When it has no address, cannot be reached within ten seconds, or refuses.
    pub async fn drain(&self, instance: &Instance, drain: bool) -> Result<(), NotDone> {
        let method = if drain { Method::PUT } else { Method::DELETE };
        let asked = self.ask(instance, method, PathAndQuery::from_static(DRAIN));
        match tokio::time::timeout(DRAIN_TIMEOUT, asked).await.map_err(|_| NotDone::Late)??.status() {
            StatusCode::NO_CONTENT => Ok(()),
            refused => Err(NotDone::Refused(refused)),
        }
    }

    /// What the process of this instance answers to `GET path` on its internal listener, up to 32 MiB.
    ///
    /// # Errors
    /// When it has no address, does not answer within three seconds, or answers with another status than 200.
    pub async fn read(&self, instance: &Instance, path: PathAndQuery) -> Result<Bytes, NotDone> {
        let answer = async {
            let answer = self.ask(instance, Method::GET, path).await?;
            if answer.status() != StatusCode::OK {
                return Err(NotDone::Refused(answer.status()));
            }
            axum::body::to_bytes(Body::new(answer), LONGEST_ANSWER).await.map_err(|_| NotDone::Unreadable)
        };
        tokio::time::timeout(READ_TIMEOUT, answer).await.map_err(|_| NotDone::Late)?
    }

    async fn ask(
        &self,
        instance: &Instance,
        method: Method,
        path: PathAndQuery,
    ) -> Result<http::Response<Incoming>, NotDone> {
        let base = address_of(instance).and_then(Base::of).ok_or(NotDone::NoAddress)?;
        let uri = upstream::uri(base, Some(path));
        let mut request = Request::new(Body::empty());
        if let Some(token) = &self.0.token {
            request.headers_mut().insert(HEADER, token.pass(&method, &uri));
        }
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        Ok(self.0.http.request(request).await?)
    }

    /// One instance of each process that is known, whatever its roles.
    #[must_use]
    pub fn processes(&self) -> Vec<Instance> {
        let fixed = self.0.fixed.values().map(Directory::view);
        let views: Vec<_> = fixed.chain([self.0.announced.view()]).collect();
        let mut processes: Vec<Instance> = Vec::new();
        for member in views.iter().flat_map(|view| &view.members) {
            let instance = &member.instance;
            if instance.http.is_some() && processes.iter().all(|known| known.http != instance.http) {
                processes.push(instance.clone());
            }
        }
        processes
    }

    /// Ends the connections that were handed over, spread over `within`, so that their clients do not all come back at
    /// the same moment.
    pub async fn leave(&self, within: Duration) {
        self.0.leaving.cancel();
        self.0.tunnels.close();
        let _ = tokio::time::timeout(within, self.0.tunnels.wait()).await;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

/// An instance at an address that was configured: nobody says how it is, so it counts as ready.
fn at(role: &str, address: &Uri) -> Option<Instance> {
    let base = format!("{}://{}", address.scheme_str().unwrap_or("http"), address.authority()?);
    Some(Instance {
        key: Key::new(role, &tag_of(address)).ok()?,
        generation: 0,
        grpc: Some(base.clone()),
        http: Some(base),
        version: String::new(),
        zone: String::new(),
        state: State::Ready,
        capabilities: Vec::new(),
        load: Load::default(),
    })
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is locked.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
