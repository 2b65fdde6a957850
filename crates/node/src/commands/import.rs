use std::path::{Path, PathBuf};

pub use bookworm_catalog::import::{
    Mapping as ImportMapping, Options as ImportOptions, Progress as ImportProgress, Report as ImportReport,
};
use bookworm_catalog::{
    CatalogService, Dependencies,
    import::{Papers, Source},
};
use bookworm_config::Settings;
use bookworm_kernel::BookId;

use crate::foundation::{Addresses, Foundation, Owner};

/// What to import, and where to write what there is to say.
#[derive(Debug)]
pub struct Import<'a> {
    /// The file.
    pub file: &'a Path,
    /// How to read it.
    pub options: ImportOptions,
    /// Find out what would be done, and write nothing.
    pub dry_run: bool,
    /// Rejected records.
    pub rejects: &'a Path,
    /// Everything that was rejected or adjusted.
    pub report: &'a Path,
}

/// Loads books from a file into the catalogue, also while the shop runs.
///
/// # Errors
/// When the file cannot be read, or the catalogue cannot be written.
pub async fn import(
    mut settings: Settings,
    import: Import<'_>,
    progress: impl FnMut(ImportProgress) + Send,
) -> anyhow::Result<ImportReport> {
    // A dry run leaves no shop behind where there was none.
    let nowhere = (import.dry_run && settings.database.url.is_none() && !settings.data_dir.exists()).then(Nowhere::new);
    if let Some(nowhere) = &nowhere {
        settings.data_dir.clone_from(&nowhere.0);
    }
    let addresses = Addresses::of(&settings);
    let foundation = Foundation::open(settings, addresses, Owner::Guest, Vec::new()).await?;
    let db = foundation.inventory.database(CatalogService::NAME).await?;
    let currency = foundation.settings.shop.currency;
    let catalog =
        CatalogService::open(Dependencies { db, clock: foundation.clock.clone(), currency, search: None }).await?;
    let mut papers = Papers::files(import.rejects, import.report);
    let source = Source::File(import.file.to_owned());
    let report = catalog.import(&source, &import.options, import.dry_run, &mut papers, progress).await;
    catalog.db().close().await;
    Ok(report?)
}

/// A folder that is gone afterwards.
struct Nowhere(PathBuf);

impl Nowhere {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("bookworm-dry-run-{}", BookId::new())))
    }
}

impl Drop for Nowhere {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a temporary folder stays behind");
        }
    }
}
