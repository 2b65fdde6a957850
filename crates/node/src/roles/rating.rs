use bookworm_rating::{Dependencies, RatingService};

use crate::{
    clients::Clients,
    foundation::Foundation,
    part::{Part, Store},
};

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    let service = RatingService::open(Dependencies {
        db: foundation.inventory.database(RatingService::NAME).await?,
        clock: foundation.clock.clone(),
        catalog: clients.catalog("rating.catalog")?,
        model: clients.ai("rating.ai"),
        invite_after_days: settings.invite_after_days(),
        invitation_valid_days: settings.rating.invitation_valid_days,
    })
    .await?;
    Ok(Part {
        api: service.api(),
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        consumers: service.consumers(),
        loops: service.loops(),
        ..Part::default()
    })
}
