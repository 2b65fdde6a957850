//! Clients of one service for another: the one place that says where a service is. A role of this process is called
//! straight: no socket, no serialisation on the wire. One of another process is called over the network, at the instance
//! that the balancer picks. The generated client is the same.

use bookworm_contracts::grpc::{
    Edge, ai::ai_server, basket::basket_client::BasketClient, basket::basket_server,
    catalog::catalog_client::CatalogClient, catalog::catalog_server, methods,
    notification::mailroom_client::MailroomClient, notification::mailroom_server,
    ordering::ordering_client::OrderingClient, ordering::ordering_server,
};
use bookworm_fleet::Peers;
use bookworm_rpc::{Method, Transport};

use crate::{Role, fleet::Fleet, part::Grpc};

pub type Basket = BasketClient<Edge>;
pub type Catalog = CatalogClient<Edge>;
pub type Mailroom = MailroomClient<Edge>;
pub type Ordering = OrderingClient<Edge>;

/// Where the roles are that a role asks. Each edge has a name, `<caller>.<callee>`.
pub struct Clients<'a> {
    /// The services of the roles that this process has built so far.
    pub here: &'a [Grpc],
    pub fleet: &'a Fleet,
    pub peers: &'a Peers,
}

/// A role that is asked is nowhere.
#[derive(Debug, thiserror::Error)]
#[error("the edge {0} leads nowhere: the role {1} is neither in this process nor in another")]
pub struct Nowhere(&'static str, Role);

impl Clients<'_> {
    fn transport(&self, role: Role, service: &str) -> Option<Transport> {
        let here = self.here.iter().find(|grpc| grpc.name == service).map(|grpc| grpc.transport.clone());
        here.or_else(|| self.fleet.reaches(role).then(|| self.peers.transport(role.name())))
    }

    fn edge(&self, role: Role, service: &str, name: &'static str, methods: &'static [Method]) -> Result<Edge, Nowhere> {
        let transport = self.transport(role, service).ok_or(Nowhere(name, role))?;
        Ok(Edge::new(name, transport, methods))
    }

    /// The model; a shop can do without it.
    pub fn ai(&self, name: &'static str) -> Option<Edge> {
        self.edge(Role::Ai, ai_server::SERVICE_NAME, name, methods::AI).ok()
    }

    pub fn basket(&self, name: &'static str) -> Result<Basket, Nowhere> {
        self.edge(Role::Basket, basket_server::SERVICE_NAME, name, methods::BASKET).map(BasketClient::new)
    }

    pub fn catalog(&self, name: &'static str) -> Result<Catalog, Nowhere> {
        self.edge(Role::Catalog, catalog_server::SERVICE_NAME, name, methods::CATALOG).map(CatalogClient::new)
    }

    pub fn mailroom(&self, name: &'static str) -> Result<Mailroom, Nowhere> {
        let service = mailroom_server::SERVICE_NAME;
        self.edge(Role::Notification, service, name, methods::NOTIFICATION).map(MailroomClient::new)
    }

    pub fn ordering(&self, name: &'static str) -> Result<Ordering, Nowhere> {
        self.edge(Role::Ordering, ordering_server::SERVICE_NAME, name, methods::ORDERING).map(OrderingClient::new)
    }
}
