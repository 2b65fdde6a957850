use bookworm_notification::NotificationService;

use crate::{foundation::Foundation, part::Part};

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
        dbs: vec![service.db().clone()],
        consumers: service.consumers(),
        workers: service.workers(foundation.stop_work.clone()),
        ..Part::default()
    })
}
