use bookworm_ordering::OrderingService;

use crate::{
    foundation::Foundation,
    part::Part,
    roles::{basket, catalog},
};

pub async fn build(foundation: &Foundation, catalog: catalog::Client, basket: basket::Client) -> anyhow::Result<Part> {
    let service = OrderingService::open(
        foundation.databases.open(OrderingService::NAME).await?,
        foundation.settings.ordering.clone(),
        foundation.clock.clone(),
        basket,
        catalog,
    )
    .await?;
    Ok(Part {
        api: service.api(),
        dbs: vec![service.db().clone()],
        outboxes: vec![(service.db().clone(), service.outbox().clone())],
        consumers: service.consumers(),
        workers: service.workers(foundation.stop_work.clone()),
        ..Part::default()
    })
}
