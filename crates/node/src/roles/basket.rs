use bookworm_basket::{BasketService, Options};

use crate::{
    clients,
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(foundation: &Foundation, catalog: clients::Catalog) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let options = Options {
        guest_days: settings.basket.guest_days,
        max_lines: settings.basket.max_lines as usize,
        currency: settings.ordering.currency,
        secure_cookies: settings.secure_cookies(),
    };
    let db = foundation.inventory.database(BasketService::NAME).await?;
    let service = BasketService::open(db, options, foundation.clock.clone(), catalog).await?;
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db())],
        consumers: service.consumers(),
        loops: service.loops(),
        ..Part::default()
    })
}
