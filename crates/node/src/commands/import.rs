use std::path::Path;

pub use bookworm_catalog::import::{Progress as ImportProgress, Report as ImportReport};
use bookworm_catalog::{CatalogService, import as importer};
use bookworm_config::Settings;

use crate::foundation::{Foundation, Owner};

/// Loads books from a file into the catalogue, also while the shop runs. Lines that cannot be used go to `rejects`.
///
/// # Errors
/// When the file cannot be read, or the catalogue cannot be written.
pub async fn import(
    settings: Settings,
    file: &Path,
    rejects: &Path,
    progress: impl FnMut(ImportProgress) + Send,
) -> anyhow::Result<ImportReport> {
    let listening = settings.listen;
    let foundation = Foundation::open(settings, listening, Owner::Guest).await?;
    let db = foundation.databases.open(CatalogService::NAME).await?;
    let currency = foundation.settings.ordering.currency;
    let catalog = CatalogService::open(db, currency, foundation.clock.clone()).await?;
    let report = importer::run(&catalog, file, rejects, progress).await?;
    catalog.db().close().await;
    Ok(report)
}
