use std::sync::Arc;

use bookworm_finance::{Dependencies, FinanceService, Providers, RouterSender, SandboxProvider};

use crate::{
    foundation::Foundation,
    part::{Part, Store},
};

pub async fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let settings = &foundation.settings.payment;
    // The sandbox has its own records, as a provider outside would; the shop only ever calls it.
    let sandbox_db = foundation.inventory.database("sandbox").await?;
    let sandbox = SandboxProvider::open(sandbox_db, settings, foundation.clock.clone()).await?;
    let service = FinanceService::open(Dependencies {
        db: foundation.inventory.database(FinanceService::NAME).await?,
        clock: foundation.clock.clone(),
        settings: settings.clone(),
        providers: Providers::new(Arc::new(sandbox.clone())),
    })
    .await?;
    let mut loops = service.loops();
    loops.extend(sandbox.loops());
    let ours = Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()));
    Ok(Part {
        api: service.api(),
        others: sandbox.pages(),
        stores: vec![ours, Store::database(sandbox.db())],
        consumers: service.consumers(),
        loops,
        // The sandbox's webhooks come to the public API, as a provider's would.
        on_api: vec![Box::new(move |api| sandbox.connect(Arc::new(RouterSender::new(api))))],
        ..Part::default()
    })
}
