use bookworm_contracts::grpc::{Transport, notification::mailroom_client::MailroomClient};
use bookworm_notification::NotificationService;

use crate::{clients, foundation::Foundation, part::Part};

pub type Client = MailroomClient<Transport>;

pub async fn build(foundation: &Foundation) -> anyhow::Result<(Client, Part)> {
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
    let part = Part {
        api: service.api(),
        dbs: vec![service.db().clone()],
        consumers: service.consumers(),
        workers: service.workers(foundation.stop_work.clone()),
        ..Part::default()
    };
    Ok((MailroomClient::new(clients::local(service.grpc())), part))
}
