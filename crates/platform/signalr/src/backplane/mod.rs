//! Several nodes with one hub: the messages between them.
//!
//! A hub serves its own connections first and at once, then publishes to the backplane, which brings it to the other nodes.
//! [`Local`] is a hub by itself; [`InProcess`] joins the hubs of one process. What every implementation must do is a suite:
//! `backplane::contract::run`, with the feature `contract`.

#[cfg(any(test, feature = "contract"))]
pub mod contract;

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};

use crate::connection::lock;
pub use crate::directory::Audience;
use crate::error::InvokeError;
use crate::protocol::{Payload, Protocol};

/// A call on its way to clients of other nodes: its arguments are written in both protocols, as one array each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCall {
    /// The client's method.
    pub target: String,
    /// The arguments as JSON.
    pub json: Bytes,
    /// The arguments as MessagePack.
    pub messagepack: Bytes,
}

impl RemoteCall {
    /// The arguments in that protocol.
    pub fn arguments(&self, protocol: Protocol) -> &Bytes {
        match protocol {
            Protocol::Json => &self.json,
            Protocol::MessagePack => &self.messagepack,
        }
    }
}

/// What messages to some connections are addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address<'a> {
    /// A connection's id.
    Connection(&'a str),
    /// A group's name.
    Group(&'a str),
    /// A user's id.
    User(&'a str),
}

/// The other nodes could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the other nodes could not be reached: {0}")]
pub struct BackplaneError(pub String);

/// What other nodes ask of a hub: the backplane calls it with what it received.
pub trait Node: Send + Sync {
    /// Sends to those of the audience who are here.
    fn deliver(&self, audience: &Audience, call: &RemoteCall);
    /// Adds a connection to a group, or takes it out. `None`: the connection is not here. The answer is the
    /// acknowledgement that the asking node waits for.
    fn change_group(&self, connection_id: &str, group: &str, join: bool) -> Option<Result<(), crate::GroupError>>;
    /// Asks a client for a result. `None`: the connection is not here.
    fn invoke(
        &self,
        connection_id: &str,
        call: &RemoteCall,
    ) -> Option<BoxFuture<'static, Result<Payload, InvokeError>>>;
    /// Ends a connection. `false`: it is not here.
    fn disconnect(&self, connection_id: &str) -> bool;
    /// Messages from other nodes may have been lost: every client of this node should ask for what it missed.
    fn resynchronise(&self);
}

/// Carries what one node publishes to the others. Every method is about the *other* nodes.
pub trait Backplane: Send + Sync + 'static {
    /// A hub of that name begins here; it is gone when the `Weak` is.
    fn attach(&self, hub: &str, node: Weak<dyn Node>);
    /// Whether there is no other node, so that nothing need be serialised for one.
    fn is_alone(&self, hub: &str) -> bool;
    /// Somebody here has this address. Counted: as many calls of [`unlisten`](Self::unlisten) end it. A backplane that
    /// brings everything to every node need not know.
    fn listen(&self, _hub: &str, _address: Address<'_>) {}
    /// One fewer here has this address.
    fn unlisten(&self, _hub: &str, _address: Address<'_>) {}
    /// Waits until what is published to these addresses reaches this node. It never waits for a backplane that is away:
    /// after that, clients are told to resynchronise.
    fn listening<'a>(&'a self, _hub: &'a str, _addresses: &'a [Address<'a>]) -> BoxFuture<'a, ()> {
        futures::future::ready(()).boxed()
    }
    /// Has the other nodes send to those of the audience who are connected to them. `from` is the publishing node.
    fn publish<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        audience: &'a Audience,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<(), BackplaneError>>;
    /// Changes the groups of a connection of another node, and waits for that node's answer. `None`: nobody has the
    /// connection.
    fn change_group<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        group: &'a str,
        join: bool,
    ) -> BoxFuture<'a, Result<Option<Result<(), crate::GroupError>>, BackplaneError>>;
    /// Asks a client of another node for a result.
    fn invoke<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<Payload, InvokeError>>;
    /// Ends a connection of another node. `false`: nobody has it.
    fn disconnect<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>>;
}

/// One node and no other: nothing to publish.
#[derive(Debug, Clone, Copy, Default)]
pub struct Local;

impl Backplane for Local {
    fn attach(&self, _: &str, _: Weak<dyn Node>) {}

    fn is_alone(&self, _: &str) -> bool {
        true
    }

    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: &'a Weak<dyn Node>,
        _: &'a Audience,
        _: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<(), BackplaneError>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn change_group<'a>(
        &'a self,
        _: &'a str,
        _: &'a Weak<dyn Node>,
        _: &'a str,
        _: &'a str,
        _: bool,
    ) -> BoxFuture<'a, Result<Option<Result<(), crate::GroupError>>, BackplaneError>> {
        futures::future::ready(Ok(None)).boxed()
    }

    fn invoke<'a>(
        &'a self,
        _: &'a str,
        _: &'a Weak<dyn Node>,
        connection_id: &'a str,
        _: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<Payload, InvokeError>> {
        futures::future::ready(Err(InvokeError::NoConnection(connection_id.to_owned()))).boxed()
    }

    fn disconnect<'a>(
        &'a self,
        _: &'a str,
        _: &'a Weak<dyn Node>,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>> {
        futures::future::ready(Ok(false)).boxed()
    }
}

/// Joins hubs of one name within one process.
#[derive(Default)]
pub struct InProcess {
    nodes: Mutex<Vec<(String, Weak<dyn Node>)>>,
}

impl InProcess {
    /// No hubs yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The nodes of that hub but for the one that speaks.
    fn others(&self, hub: &str, from: &Weak<dyn Node>) -> Vec<Arc<dyn Node>> {
        let mut nodes = lock(&self.nodes);
        nodes.retain(|(_, node)| node.strong_count() > 0);
        nodes
            .iter()
            .filter(|(name, node)| name == hub && !Weak::ptr_eq(node, from))
            .filter_map(|(_, node)| node.upgrade())
            .collect()
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("nodes", &lock(&self.nodes).len()).finish()
    }
}

impl Backplane for InProcess {
    fn attach(&self, hub: &str, node: Weak<dyn Node>) {
        lock(&self.nodes).push((hub.to_owned(), node));
    }

    fn is_alone(&self, hub: &str) -> bool {
        lock(&self.nodes).iter().filter(|(name, node)| name == hub && node.strong_count() > 0).count() < 2
    }

    fn publish<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        audience: &'a Audience,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<(), BackplaneError>> {
        for node in self.others(hub, from) {
            node.deliver(audience, call);
        }
        futures::future::ready(Ok(())).boxed()
    }

    fn change_group<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        group: &'a str,
        join: bool,
    ) -> BoxFuture<'a, Result<Option<Result<(), crate::GroupError>>, BackplaneError>> {
        let answer = self.others(hub, from).iter().find_map(|node| node.change_group(connection_id, group, join));
        futures::future::ready(Ok(answer)).boxed()
    }

    fn invoke<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<Payload, InvokeError>> {
        let mut asked: FuturesUnordered<_> =
            self.others(hub, from).iter().filter_map(|node| node.invoke(connection_id, call)).collect();
        async move { asked.next().await.unwrap_or_else(|| Err(InvokeError::NoConnection(connection_id.to_owned()))) }
            .boxed()
    }

    fn disconnect<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>> {
        let found = self.others(hub, from).iter().any(|node| node.disconnect(connection_id));
        futures::future::ready(Ok(found)).boxed()
    }
}
