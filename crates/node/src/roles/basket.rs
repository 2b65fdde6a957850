use bookworm_basket::{BasketService, Dependencies, Settings};

use crate::{
    clients::Clients,
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let service = BasketService::open(Dependencies {
        db: foundation.inventory.database(BasketService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: Settings {
            guest_days: settings.basket.guest_days,
            max_lines: settings.basket.max_lines as usize,
            currency: settings.shop.currency,
            secure_cookies: settings.secure_cookies(),
        },
        catalog: clients.catalog("basket.catalog")?,
    })
    .await?;
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db())],
        consumers: service.consumers(),
        loops: service.loops(),
        ..Part::default()
    })
}
