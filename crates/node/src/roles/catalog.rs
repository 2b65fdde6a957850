use std::{path::Path, sync::Arc};

use anyhow::Context;
use bookworm_catalog::{CatalogService, Dependencies, Models, SearchOptions, import};

use crate::{
    Role,
    clients::Clients,
    foundation::Foundation,
    part::{Capability, Grpc, Part, SEARCH, Store},
};

/// The demonstration catalogue, loaded by the same importer that users use.
const DEMO: &[u8] = include_bytes!("../../../../data/demo-catalogue.jsonl");

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let settings = &foundation.settings;
    // They turn texts into vectors; without them searches go by words alone. Two edges, so that a long batch of books is
    // no sign that queries fail.
    let ai = clients.ai("catalog.ai.queries").zip(clients.ai("catalog.ai.books"));
    let ai = ai.map(|(queries, books)| Models { queries, books });
    let db = foundation.inventory.database(CatalogService::NAME).await?;
    let search = SearchOptions { folder: settings.data_dir.join("search"), ai, settings: settings.search.clone() };
    let (currency, clock) = (settings.shop.currency, foundation.clock.clone());
    let service = CatalogService::open(Dependencies { db, clock, currency, search: Some(search) }).await?;
    let demo_books = if settings.demo { load_demo(&service, &settings.data_dir).await? } else { None };
    let (noted, asked) = (service.clone(), service.clone());
    let can_search =
        Capability { role: Role::Catalog, name: SEARCH, is_there: Arc::new(move || asked.search_standing() == "ok") };
    Ok(Part {
        api: service.api(),
        grpc: vec![Grpc::new(service.grpc())],
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        notes: vec![("search", Arc::new(move || noted.search_standing().to_owned()))],
        capabilities: vec![can_search],
        consumers: service.consumers(),
        loops: service.loops(),
        demo_books,
        ..Part::default()
    })
}

/// Fills an empty catalogue. The file stays in the data folder until all of it is loaded, so that a first start that
/// was interrupted is finished by the next. How many books were added; `None` when there were books already.
async fn load_demo(catalog: &CatalogService, data_dir: &Path) -> anyhow::Result<Option<u64>> {
    let file = data_dir.join("demo-catalogue.jsonl");
    let unfinished = file.exists();
    if !unfinished && !catalog.is_empty().await? {
        return Ok(None);
    }
    std::fs::write(&file, DEMO).with_context(|| format!("cannot write {}", file.display()))?;
    let source = import::Source::File(file.clone());
    let options = import::Options { demonstration: true, ..import::Options::default() };
    let report = catalog
        .import(&source, &options, false, &mut import::Papers::memory(), |_| {})
        .await
        .context("cannot load the demonstration catalogue")?;
    tracing::info!(books = report.added, rejected = report.rejected, "demonstration catalogue loaded");
    std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(Some(report.added))
}
