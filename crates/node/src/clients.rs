//! Clients of one service for another: the one place that says where a service is. Today every asked role runs in the
//! same process, so a call goes straight into the service: no socket, no serialisation on the wire, the same generated
//! client.

use bookworm_contracts::grpc::{
    Edge, ai::ai_server, basket::basket_client::BasketClient, basket::basket_server,
    catalog::catalog_client::CatalogClient, catalog::catalog_server, methods,
    notification::mailroom_client::MailroomClient, notification::mailroom_server,
    ordering::ordering_client::OrderingClient, ordering::ordering_server,
};
use bookworm_rpc::Method;

use crate::part::Part;

pub type Basket = BasketClient<Edge>;
pub type Catalog = CatalogClient<Edge>;
pub type Mailroom = MailroomClient<Edge>;
pub type Ordering = OrderingClient<Edge>;

/// The edge of this name, `<caller>.<callee>`, to a service; `None` when nothing in this process brings it.
fn edge(part: &Part, service: &str, name: &'static str, methods: &'static [Method]) -> Option<Edge> {
    let callee = part.grpc.iter().find(|grpc| grpc.name == service)?;
    Some(Edge::new(name, callee.transport.clone(), methods))
}

pub fn ai(part: &Part, name: &'static str) -> Option<Edge> {
    edge(part, ai_server::SERVICE_NAME, name, methods::AI)
}

pub fn basket(part: &Part, name: &'static str) -> Option<Basket> {
    edge(part, basket_server::SERVICE_NAME, name, methods::BASKET).map(BasketClient::new)
}

pub fn catalog(part: &Part, name: &'static str) -> Option<Catalog> {
    edge(part, catalog_server::SERVICE_NAME, name, methods::CATALOG).map(CatalogClient::new)
}

pub fn mailroom(part: &Part, name: &'static str) -> Option<Mailroom> {
    edge(part, mailroom_server::SERVICE_NAME, name, methods::NOTIFICATION).map(MailroomClient::new)
}

pub fn ordering(part: &Part, name: &'static str) -> Option<Ordering> {
    edge(part, ordering_server::SERVICE_NAME, name, methods::ORDERING).map(OrderingClient::new)
}
