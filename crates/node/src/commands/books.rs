//! The services that commands work on, opened without their loops. What asks another service is given a client that
//! leads nowhere: commands never use it.

use bookworm_contracts::grpc::{Edge, basket::basket_client::BasketClient, catalog::catalog_client::CatalogClient};
use bookworm_ordering::{Dependencies, OrderingService};
use tonic::Status;
use tower::{service_fn, util::BoxCloneSyncService};

use crate::foundation::Foundation;

/// Ordering over its database.
pub async fn ordering(foundation: &Foundation) -> anyhow::Result<OrderingService> {
    let service = OrderingService::open(Dependencies {
        db: foundation.inventory.database(OrderingService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: foundation.settings.ordering.clone(),
        currency: foundation.settings.shop.currency,
        basket: BasketClient::new(nowhere("ordering.basket")),
        catalog: CatalogClient::new(nowhere("ordering.catalog")),
    })
    .await?;
    Ok(service)
}

fn nowhere(edge: &'static str) -> Edge {
    let nobody = service_fn(|_| async { Err(Status::unavailable("this process runs no such service")) });
    Edge::new(edge, BoxCloneSyncService::new(nobody), &[])
}
