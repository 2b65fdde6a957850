use bookworm_notification::NotificationService;

use crate::{
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let service = NotificationService::open(
        foundation.inventory.database(NotificationService::NAME).await?,
        &settings.mail,
        &settings.web.shop_name,
        &foundation.origin,
        settings.web.time_zone,
        foundation.clock.clone(),
    )
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
