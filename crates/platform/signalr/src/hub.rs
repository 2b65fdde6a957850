//! A hub: its methods, how it is built, and the handle on it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backplane::{Address, Backplane, BackplaneError, Local, Node, RemoteCall};
use crate::clients::{Clients, Frames, Writing};
use crate::connection::{Connection, Phase, Signal, TransportKind, lock};
use crate::context::{Call, Context};
use crate::directory::{Audience, Directory, Joined};
use crate::endpoint;
use crate::error::{Disconnect, GroupError, HubError, InvokeError, SendError};
use crate::handler::{Handler, Method, StreamHandler};
use crate::metrics::HubMetrics;
use crate::options::Options;
use crate::protocol::{EncodeError, Outcome, Payload, Protocol, ProtocolError};
use crate::raw::{RawConnection, RawHandler};
use crate::request::{Authenticator, Credentials, Principal, Rejection};

type Connected = Box<dyn Fn(Call) -> BoxFuture<'static, Result<(), HubError>> + Send + Sync>;
type Disconnected = Box<dyn Fn(Call, Disconnect) -> BoxFuture<'static, ()> + Send + Sync>;
type Answer = Result<Payload, InvokeError>;
/// An invocation under way: the result's bytes in the caller's protocol.
type Work = BoxFuture<'static, Result<Bytes, HubError>>;
type Around = Box<dyn Fn(&str, Work) -> Work + Send + Sync>;

/// Everything of a hub, its state's type forgotten.
pub struct HubCore {
    pub(crate) name: String,
    pub(crate) options: Options,
    /// By name in lower case: targets are compared without regard to case.
    pub(crate) methods: HashMap<String, Arc<Method>>,
    pub(crate) on_connected: Option<Connected>,
    pub(crate) on_disconnected: Option<Disconnected>,
    pub(crate) authenticator: Option<Box<Authenticator>>,
    pub(crate) raw: Option<RawHandler>,
    pub(crate) around: Option<Around>,
    resynchronise: Option<String>,
    pub(crate) directory: Directory,
    pub(crate) metrics: HubMetrics,
    pub(crate) sessions: TaskTracker,
    pub(crate) stopping: CancellationToken,
    backplane: Arc<dyn Backplane>,
    me: Weak<HubCore>,
    results: Mutex<HashMap<String, PendingResult>>,
    next_result: AtomicU64,
    beats: AtomicBool,
}

/// A result that a client was asked for and has not sent yet.
struct PendingResult {
    connection_id: Arc<str>,
    answer: oneshot::Sender<Answer>,
}

/// A hub: methods that clients call by name. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    core: Arc<HubCore>,
}

/// Puts a hub together; see [`Hub::builder`].
pub struct HubBuilder<S> {
    name: String,
    state: Arc<S>,
    methods: HashMap<String, Method>,
    on_connected: Option<Connected>,
    on_disconnected: Option<Disconnected>,
    authenticator: Option<Box<Authenticator>>,
    raw: Option<RawHandler>,
    around: Option<Around>,
    resynchronise: Option<String>,
    backplane: Arc<dyn Backplane>,
}

impl Hub {
    /// A hub of that name (for metrics, traces and the backplane), with a state that its methods share.
    pub fn builder<S: Send + Sync + 'static>(name: impl Into<String>, state: S) -> HubBuilder<S> {
        HubBuilder {
            name: name.into(),
            state: Arc::new(state),
            methods: HashMap::new(),
            on_connected: None,
            on_disconnected: None,
            authenticator: None,
            raw: None,
            around: None,
            resynchronise: None,
            backplane: Arc::new(Local),
        }
    }

    /// The hub's two routes, `path` and `path/negotiate`, to be merged into an application.
    pub fn router<R: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<R> {
        let path = path.trim_end_matches('/');
        let (transport, negotiate) = (Arc::clone(&self.core), Arc::clone(&self.core));
        Router::new()
            .route(path, any(move |request: Request| endpoint::transport(Arc::clone(&transport), request)))
            .route(
                &format!("{path}/negotiate"),
                any(move |request: Request| endpoint::negotiate(Arc::clone(&negotiate), request)),
            )
    }

    /// For sending from outside, and for ending it.
    pub fn handle(&self) -> HubHandle {
        HubHandle { core: Arc::clone(&self.core) }
    }
}

impl<S: Send + Sync + 'static> HubBuilder<S> {
    /// What stands around each invocation that has one result: it is given the method's name and the work, and returns what
    /// is done instead. For traces and the like; the last one counts.
    #[must_use]
    pub fn around<F>(mut self, around: F) -> Self
    where
        F: Fn(&str, Work) -> Work + Send + Sync + 'static,
    {
        self.around = Some(Box::new(around));
        self
    }

    /// A method that clients invoke for one result. Names are compared without regard to case; the last of a name counts.
    #[must_use]
    pub fn on<P, H: Handler<S, P>>(mut self, name: &str, handler: H) -> Self {
        let method = Method::unary(&self.name, name, Arc::clone(&self.state), handler);
        self.methods.insert(name.to_lowercase(), method);
        self
    }

    /// A method that clients invoke for a stream.
    #[must_use]
    pub fn stream<P, H: StreamHandler<S, P>>(mut self, name: &str, handler: H) -> Self {
        let method = Method::stream(&self.name, name, Arc::clone(&self.state), handler);
        self.methods.insert(name.to_lowercase(), method);
        self
    }

    /// Only callers for whom `allowed` is true may invoke this method, which was added before.
    ///
    /// # Panics
    /// When there is no such method: a rule that protects nothing is a mistake.
    #[must_use]
    pub fn authorize(mut self, name: &str, allowed: impl Fn(&Context<S>) -> bool + Send + Sync + 'static) -> Self {
        let state = Arc::clone(&self.state);
        let method = self.methods.get_mut(&name.to_lowercase());
        let method = method.unwrap_or_else(|| panic!("the hub '{}' has no method '{name}' to authorize", self.name));
        method.authorized = Some(Box::new(move |call| allowed(&Context::new(call, Arc::clone(&state)))));
        self
    }

    /// Runs when a connection is ready, before its first invocation. An error closes the connection, without
    /// `on_disconnected`.
    #[must_use]
    pub fn on_connected<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Context<S>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        self.on_connected = Some(Box::new(move |call| handler(Context::new(call, Arc::clone(&state))).boxed()));
        self
    }

    /// Runs exactly once when a connection that was ready is over.
    #[must_use]
    pub fn on_disconnected<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Context<S>, Disconnect) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let state = Arc::clone(&self.state);
        self.on_disconnected =
            Some(Box::new(move |call, reason| handler(Context::new(call, Arc::clone(&state)), reason).boxed()));
        self
    }

    /// Decides who is behind a request. It runs on every request, negotiation included. Without one everybody is
    /// anonymous.
    #[must_use]
    pub fn authenticate<F, Fut>(mut self, authenticator: F) -> Self
    where
        F: Fn(Credentials) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Principal, Rejection>> + Send + 'static,
    {
        self.authenticator = Some(Box::new(move |credentials| Box::pin(authenticator(credentials))));
        self
    }

    /// No hub protocol: each connection is handed over as a stream of bytes, and methods are never called.
    #[must_use]
    pub fn raw<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(RawConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.raw = Some(Box::new(move |connection| handler(connection).boxed()));
        self
    }

    /// Joins the hubs of that name on other nodes.
    #[must_use]
    pub fn backplane(mut self, backplane: Arc<dyn Backplane>) -> Self {
        self.backplane = backplane;
        self
    }

    /// The client's method that is called, without arguments, on every connection of this node when messages from other
    /// nodes may have been lost. Without one clients are not notified.
    #[must_use]
    pub fn resynchronise_by(mut self, target: impl Into<String>) -> Self {
        self.resynchronise = Some(target.into());
        self
    }

    /// The hub.
    pub fn build(self, options: Options) -> Hub {
        let core = Arc::new_cyclic(|me| HubCore {
            metrics: HubMetrics::new(&self.name),
            name: self.name,
            options,
            methods: self.methods.into_iter().map(|(name, method)| (name, Arc::new(method))).collect(),
            on_connected: self.on_connected,
            on_disconnected: self.on_disconnected,
            authenticator: self.authenticator,
            raw: self.raw,
            around: self.around,
            resynchronise: self.resynchronise,
            directory: Directory::default(),
            sessions: TaskTracker::new(),
            stopping: CancellationToken::new(),
            backplane: self.backplane,
            me: Weak::clone(me),
            results: Mutex::default(),
            next_result: AtomicU64::new(0),
            beats: AtomicBool::new(false),
        });
        core.backplane.attach(&core.name, core.node());
        Hub { core }
    }
}

/// A hub seen from outside. Cheap to clone.
#[derive(Clone)]
pub struct HubHandle {
    core: Arc<HubCore>,
}

impl HubHandle {
    /// The hub's clients.
    pub fn clients(&self) -> Clients {
        Clients { hub: Arc::clone(&self.core), from: None }
    }

    /// Adds a connection of any node to a group. An id that nobody has is passed over.
    ///
    /// # Errors
    /// [`GroupError`] for an empty name, too many groups, or when the backplane fails.
    pub async fn join(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.core.change_group(connection_id, group, true).await
    }

    /// Takes a connection of any node out of a group.
    ///
    /// # Errors
    /// [`GroupError`] for an empty name, or when the backplane fails.
    pub async fn leave(&self, connection_id: &str, group: &str) -> Result<(), GroupError> {
        self.core.change_group(connection_id, group, false).await
    }

    /// Ends a connection of any node. `false`: nobody has it.
    ///
    /// # Errors
    /// [`BackplaneError`] when the other nodes cannot be reached.
    pub async fn disconnect(&self, connection_id: &str) -> Result<bool, BackplaneError> {
        if Node::disconnect(&*self.core, connection_id) {
            return Ok(true);
        }
        self.core.backplane.disconnect(&self.core.name, &self.core.node(), connection_id).await
    }

    /// How many connections are open on this node.
    pub fn connections(&self) -> usize {
        self.core.directory.open()
    }

    /// How many connections a user has on this node.
    pub fn user_connections(&self, user_id: &str) -> usize {
        self.core.directory.user_connections(user_id)
    }

    /// Ends the hub on this node: nobody new is let in, every client is asked to reconnect (elsewhere), handlers run to
    /// their end within [`Options::handler_grace`]. Returns when the last connection is over.
    pub async fn shutdown(&self) {
        self.core.stopping.cancel();
        self.core.sessions.close();
        for connection in self.core.directory.everybody() {
            connection.signal(Signal::Shutdown);
        }
        self.core.sessions.wait().await;
    }
}

impl HubCore {
    fn node(&self) -> Weak<dyn Node> {
        self.me.clone() as Weak<dyn Node>
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.backplane.is_alone(&self.name)
    }

    /// Queues a message for those of the audience who are connected here; returns how many they are.
    pub(crate) fn deliver(&self, audience: &Audience, frames: &dyn Frames) -> Result<usize, EncodeError> {
        let mut delivered = 0;
        let mut failed = None;
        self.directory.for_each(audience, |connection| {
            delivered += 1;
            let protocol = connection.protocol.get().copied().unwrap_or(Protocol::Json);
            match frames.frame(protocol) {
                Ok(frame) => drop(connection.send_or_close(frame, self.options.send_queue_size)),
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or(Ok(delivered), Err)
    }

    pub(crate) async fn publish(&self, audience: &Audience, call: &RemoteCall) -> Result<(), SendError> {
        Ok(self.backplane.publish(&self.name, &self.node(), audience, call).await?)
    }

    pub(crate) async fn change_group(&self, id: &str, group: &str, join: bool) -> Result<(), GroupError> {
        if group.is_empty() {
            return Err(GroupError::Empty);
        }
        match Node::change_group(self, id, group, join) {
            Some(Ok(())) if join => {
                self.backplane.listening(&self.name, &[Address::Group(group)]).await;
                Ok(())
            }
            Some(changed) => changed,
            None if self.is_alone() => Ok(()),
            None => {
                let answer = self.backplane.change_group(&self.name, &self.node(), id, group, join).await?;
                answer.unwrap_or(Ok(()))
            }
        }
    }

    /// Asks a client of this node; the arguments are written in its protocol.
    pub(crate) fn ask(
        &self,
        connection: &Arc<Connection>,
        target: &str,
        arguments: &Bytes,
    ) -> Result<impl Future<Output = Answer> + Send + 'static, InvokeError> {
        let limit = self.options.maximum_client_results;
        if connection.pending_results.fetch_add(1, Ordering::AcqRel) >= limit {
            connection.pending_results.fetch_sub(1, Ordering::AcqRel);
            return Err(InvokeError::TooMany(limit));
        }
        let id = format!("s{}", self.next_result.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, receiver) = oneshot::channel();
        let pending = PendingResult { connection_id: Arc::clone(&connection.id), answer: sender };
        lock(&self.results).insert(id.clone(), pending);
        let protocol = connection.protocol.get().copied().unwrap_or(Protocol::Json);
        let message = protocol.write_invocation(Some(&id), target, arguments);
        let guard = OwedGuard { hub: self.me.clone(), connection: Arc::clone(connection), id };
        connection.send_or_close(message, self.options.send_queue_size);
        if connection.phase() == Phase::Ended {
            self.abandon_results(connection);
        }
        let timeout = self.options.client_result_timeout;
        Ok(async move {
            let answer = tokio::time::timeout(timeout, receiver).await;
            match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(InvokeError::Disconnected(guard.connection.id.to_string())),
                Err(_) => Err(InvokeError::TimedOut),
            }
        })
    }

    /// Asks a client of another node. The timeout is for a node that ends meanwhile; otherwise it answers in time.
    pub(crate) async fn ask_elsewhere(&self, id: &str, call: &RemoteCall) -> Answer {
        let node = self.node();
        let asking = self.backplane.invoke(&self.name, &node, id, call);
        tokio::time::timeout(self.options.client_result_timeout, asking).await.unwrap_or(Err(InvokeError::TimedOut))
    }

    /// From now on messages reach the connection. `false`: its user has `limit` connections already.
    pub(crate) fn enter(&self, connection: &Arc<Connection>, limit: usize) -> bool {
        addresses(connection).for_each(|address| self.backplane.listen(&self.name, address));
        let entered = self.directory.enter(connection, limit);
        if !entered {
            addresses(connection).for_each(|address| self.backplane.unlisten(&self.name, address));
        }
        entered
    }

    /// Waits until messages of other nodes reach the connection, too.
    pub(crate) async fn listening(&self, connection: &Connection) {
        let addresses: Vec<_> = addresses(connection).collect();
        self.backplane.listening(&self.name, &addresses).await;
    }

    /// From now on no message reaches the connection.
    pub(crate) fn leave(&self, connection: &Connection) {
        let Some(groups) = self.directory.leave(connection) else { return };
        let groups = groups.iter().map(|group| Address::Group(group));
        addresses(connection).chain(groups).for_each(|address| self.backplane.unlisten(&self.name, address));
    }

    /// A client completed something that is no upload. Only who was asked may answer; what nobody waits for is ignored.
    pub(crate) fn answered(&self, connection: &Connection, id: &str, outcome: Outcome) -> Result<(), ProtocolError> {
        let mut results = lock(&self.results);
        match results.get(id) {
            None => return Ok(()),
            Some(pending) if pending.connection_id != connection.id => {
                return Err(ProtocolError::invalid(format!(
                    "Connection ID '{}' is not valid for invocation ID '{id}'.",
                    connection.id
                )));
            }
            Some(_) => {}
        }
        let Some(pending) = results.remove(id) else { return Ok(()) };
        drop(results);
        let protocol = connection.protocol.get().copied().unwrap_or(Protocol::Json);
        let answer = match outcome {
            Outcome::Result(payload) => Ok(payload),
            Outcome::Error(text) => Err(InvokeError::Client(text)),
            Outcome::Void => protocol.encode(&()).map(|bytes| Payload { protocol, bytes }).map_err(InvokeError::Encode),
        };
        // Who asked may have given up.
        let _ = pending.answer.send(answer);
        Ok(())
    }

    /// The connection is over: its pending results never come.
    pub(crate) fn abandon_results(&self, connection: &Connection) {
        if connection.pending_results.load(Ordering::Acquire) > 0 {
            lock(&self.results).retain(|_, pending| pending.connection_id != connection.id);
        }
    }

    /// The session is over. A long polling client must still learn of it; the heartbeat removes it later.
    pub(crate) fn finished(&self, connection: &Connection) {
        if connection.transport_kind() != TransportKind::LongPolling {
            self.directory.forget(connection);
        }
    }

    /// Starts the one timer of the hub, with its first connection.
    pub(crate) fn start_heartbeat(&self) {
        if !self.beats.swap(true, Ordering::AcqRel) {
            tokio::spawn(crate::heartbeat::run(self.me.clone(), self.options.heartbeat_interval));
        }
    }
}

/// Removes a pending result when nobody waits for it any more.
struct OwedGuard {
    hub: Weak<HubCore>,
    connection: Arc<Connection>,
    id: String,
}

impl Drop for OwedGuard {
    fn drop(&mut self) {
        self.connection.pending_results.fetch_sub(1, Ordering::AcqRel);
        if let Some(hub) = self.hub.upgrade() {
            lock(&hub.results).remove(&self.id);
        }
    }
}

impl Node for HubCore {
    fn deliver(&self, audience: &Audience, call: &RemoteCall) {
        // A remote call is written already: framing it cannot fail.
        let _ = HubCore::deliver(self, audience, call);
    }

    fn change_group(&self, connection_id: &str, group: &str, join: bool) -> Option<Result<(), GroupError>> {
        let address = Address::Group(group);
        if !join {
            let was_member = self.directory.quit(connection_id, group)?;
            if was_member {
                self.backplane.unlisten(&self.name, address);
            }
            return Some(Ok(()));
        }
        // Counted before it is a member, so that the count is never below that of the members.
        self.backplane.listen(&self.name, address);
        let joined = self.directory.join(connection_id, group, self.options.maximum_groups);
        if !matches!(joined, Ok(Joined::Now)) {
            self.backplane.unlisten(&self.name, address);
        }
        match joined {
            Ok(Joined::Absent) => None,
            Ok(Joined::Before | Joined::Now) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }

    fn invoke(&self, connection_id: &str, call: &RemoteCall) -> Option<BoxFuture<'static, Answer>> {
        let connection = self.directory.connection(connection_id)?;
        let protocol = connection.protocol.get().copied().unwrap_or(Protocol::Json);
        Some(match self.ask(&connection, &call.target, call.arguments(protocol)) {
            Ok(answer) => answer.boxed(),
            Err(error) => futures::future::ready(Err(error)).boxed(),
        })
    }

    fn disconnect(&self, connection_id: &str) -> bool {
        let Some(connection) = self.directory.connection(connection_id) else { return false };
        connection.stateful.store(false, Ordering::Release);
        connection.signal(Signal::Abort);
        true
    }

    fn resynchronise(&self) {
        let Some(target) = &self.resynchronise else { return };
        let everybody = Audience::All { except: Vec::new() };
        // Nothing is written but the name: it cannot fail.
        let _ = HubCore::deliver(self, &everybody, &Writing::new(target, &()));
    }
}

/// What messages to a connection alone are addressed to.
fn addresses(connection: &Connection) -> impl Iterator<Item = Address<'_>> {
    std::iter::once(Address::Connection(&connection.id)).chain(connection.user_id().map(Address::User))
}
