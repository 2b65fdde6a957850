use std::sync::Arc;

use bookworm_finance::{FinanceService, Providers, RouterSender, SandboxProvider};

use crate::{foundation::Foundation, part::Part};

pub async fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let settings = &foundation.settings.payment;
    // The sandbox keeps its own books, as a provider outside would; the shop only ever calls it.
    let sandbox_db = foundation.inventory.database("sandbox").await?;
    let sandbox = SandboxProvider::open(sandbox_db, settings, foundation.clock.clone()).await?;
    let db = foundation.inventory.database(FinanceService::NAME).await?;
    let service =
        FinanceService::open(db, settings, foundation.clock.clone(), Providers::new(Arc::new(sandbox.clone()))).await?;
    let mut workers = service.workers(foundation.stop_work.clone());
    workers.extend(sandbox.workers(foundation.stop_work.clone()));
    Ok(Part {
        api: service.api(),
        others: sandbox.pages(),
        dbs: vec![service.db().clone(), sandbox.db().clone()],
        outboxes: vec![(service.db().clone(), service.outbox().clone())],
        consumers: service.consumers(),
        workers,
        // The sandbox's webhooks come to the public API, as a provider's would.
        on_api: vec![Box::new(move |api| sandbox.connect(Arc::new(RouterSender::new(api))))],
        ..Part::default()
    })
}
