use bookworm_ordering::{Dependencies, OrderingService};

use crate::{
    clients::Clients,
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let service = OrderingService::open(Dependencies {
        db: foundation.inventory.database(OrderingService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: foundation.settings.ordering.clone(),
        currency: foundation.settings.shop.currency,
        basket: clients.basket("ordering.basket")?,
        catalog: clients.catalog("ordering.catalog")?,
    })
    .await?;
    // One process alone notifies itself.
    let follower = foundation.nats.as_ref().map(|_| service.follower());
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        consumers: service.consumers().into_iter().chain(follower).collect(),
        loops: service.loops(),
        ..Part::default()
    })
}
