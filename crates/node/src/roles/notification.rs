use bookworm_notification::{Dependencies, NotificationService};

use crate::{
    foundation::Foundation,
    part::{Grpc, Part, Store},
};

pub async fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let service = NotificationService::open(Dependencies {
        db: foundation.inventory.database(NotificationService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: settings.mail.clone(),
        transport: NotificationService::transport(&settings.mail)?,
        shop_name: settings.web.shop_name.clone(),
        origin: foundation.origin.clone(),
        time_zone: settings.web.time_zone,
    })
    .await?;
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox())],
        consumers: service.consumers(),
        loops: service.loops(),
        ..Part::default()
    })
}
