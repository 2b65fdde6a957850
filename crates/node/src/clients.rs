//! Clients of one service for another: the one place that says where a service is. Today every asked role runs in the
//! same process, so a call goes straight into the service: no socket, no serialisation on the wire, the same generated
//! client.

use bookworm_contracts::grpc::{
    Transport,
    ai::{ai_client::AiClient, ai_server},
    basket::{basket_client::BasketClient, basket_server},
    catalog::{catalog_client::CatalogClient, catalog_server},
    notification::{mailroom_client::MailroomClient, mailroom_server},
    ordering::{ordering_client::OrderingClient, ordering_server},
};

use crate::part::Part;

pub type Ai = AiClient<Transport>;
pub type Basket = BasketClient<Transport>;
pub type Catalog = CatalogClient<Transport>;
pub type Mailroom = MailroomClient<Transport>;
pub type Ordering = OrderingClient<Transport>;

/// Where a service is; `None` when nothing in this process brings it.
fn transport(part: &Part, service: &str) -> Option<Transport> {
    part.grpc.iter().find(|grpc| grpc.name == service).map(|grpc| grpc.transport.clone())
}

pub fn ai(part: &Part) -> Option<Ai> {
    transport(part, ai_server::SERVICE_NAME).map(AiClient::new)
}

pub fn basket(part: &Part) -> Option<Basket> {
    transport(part, basket_server::SERVICE_NAME).map(BasketClient::new)
}

pub fn catalog(part: &Part) -> Option<Catalog> {
    transport(part, catalog_server::SERVICE_NAME).map(CatalogClient::new)
}

pub fn mailroom(part: &Part) -> Option<Mailroom> {
    transport(part, mailroom_server::SERVICE_NAME).map(MailroomClient::new)
}

pub fn ordering(part: &Part) -> Option<Ordering> {
    transport(part, ordering_server::SERVICE_NAME).map(OrderingClient::new)
}
