use bookworm_basket::{BasketService, Options};
use bookworm_contracts::grpc::{Transport, basket::basket_client::BasketClient};

use crate::{clients, foundation::Foundation, part::Part, roles::catalog};

pub type Client = BasketClient<Transport>;

pub async fn build(foundation: &Foundation, catalog: catalog::Client) -> anyhow::Result<(Client, Part)> {
    let settings = &foundation.settings;
    let options = Options {
        guest_days: settings.basket.guest_days,
        max_lines: settings.basket.max_lines as usize,
        currency: settings.ordering.currency,
        secure_cookies: settings.secure_cookies(),
    };
    let db = foundation.inventory.database(BasketService::NAME).await?;
    let service = BasketService::open(db, options, foundation.clock.clone(), catalog).await?;
    let part = Part {
        api: service.api(),
        dbs: vec![service.db().clone()],
        consumers: service.consumers(),
        workers: service.workers(foundation.stop_work.clone()),
        ..Part::default()
    };
    Ok((BasketClient::new(clients::local(service.grpc())), part))
}
