use bookworm_ordering::OrderingService;

use crate::{
    clients,
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(
    foundation: &Foundation,
    catalog: clients::Catalog,
    basket: clients::Basket,
) -> anyhow::Result<Part> {
    let service = OrderingService::open(
        foundation.inventory.database(OrderingService::NAME).await?,
        foundation.settings.ordering.clone(),
        foundation.clock.clone(),
        basket,
        catalog,
    )
    .await?;
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        consumers: service.consumers(),
        loops: service.loops(),
        ..Part::default()
    })
}
