use bookworm_contracts::grpc::{Transport, ordering::ordering_client::OrderingClient};
use bookworm_ordering::OrderingService;

use crate::{
    clients,
    foundation::Foundation,
    part::Part,
    roles::{basket, catalog},
};

pub type Client = OrderingClient<Transport>;

pub async fn build(
    foundation: &Foundation,
    catalog: catalog::Client,
    basket: basket::Client,
) -> anyhow::Result<(Client, Part)> {
    let service = OrderingService::open(
        foundation.inventory.database(OrderingService::NAME).await?,
        foundation.settings.ordering.clone(),
        foundation.clock.clone(),
        basket,
        catalog,
    )
    .await?;
    let part = Part {
        api: service.api(),
        dbs: vec![service.db().clone()],
        outboxes: vec![(service.db().clone(), service.outbox().clone())],
        consumers: service.consumers(),
        workers: service.workers(foundation.stop_work.clone()),
        ..Part::default()
    };
    Ok((OrderingClient::new(clients::local(service.grpc())), part))
}
