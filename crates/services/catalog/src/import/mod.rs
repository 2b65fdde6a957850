//! Fills the catalogue from a file.
//!
//! One line is one book: JSON Lines or CSV, plain or gzip. A line is known by its `source_id` and by a hash of what it
//! says, so that importing again writes only what changed, and an import that was stopped is finished by running it
//! again. A line that is not valid is reported with its number and reason and written to a file of rejects; the rest goes
//! on. Memory does not grow with the file: lines are read on a thread of their own and written in batches.
//!
//! The file tells what a book is, not how many there are now: `stock` counts for a new book only. A book that staff took
//! from sale stays so.
//!
//! The shop may run meanwhile, also in another process: every batch is one unit of work like any other, and answers that
//! the other process keeps in memory expire within a second.

mod batch;
mod read;
mod record;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bookworm_db::DbError;

use self::record::Entry;
use crate::{CatalogService, store::books::Names};

/// Lines written together.
const BATCH: usize = 500;
/// Batches read ahead.
const AHEAD: usize = 2;
/// Names kept to spare looking them up again; when there are more, all are forgotten.
const KNOWN_NAMES: usize = 200_000;
/// How often a batch that met somebody else's change is tried.
const ATTEMPTS: u32 = 5;

/// How far an import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines dealt with.
    pub done: u64,
    /// Size of the file.
    pub total_bytes: u64,
    /// Of these, read; in a compressed file counted as compressed.
    pub read_bytes: u64,
    /// Lines that were not valid.
    pub rejected: u64,
}

/// What an import did. `added + changed + unchanged + rejected` is the number of lines that are not blank.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// Books that were not there.
    pub added: u64,
    /// Books whose line says something else than last time.
    pub changed: u64,
    /// Books whose line says the same as last time, or that staff took from sale.
    pub unchanged: u64,
    /// Lines that are not valid: see the rejects file.
    pub rejected: u64,
    /// Details that were left out or adjusted in lines that were taken: an ISBN that belongs to another book, a
    /// language that is no code, names above the limit.
    pub warnings: u64,
    /// How long it took.
    pub seconds: f64,
}

/// An import cannot go on. What was written before stays; run it again to finish.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read, or its compressed data is damaged.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// The CSV file has no header line with a column `title`.
    #[error("the first line of a CSV file must name its columns, among them `title`")]
    Header,
    /// The rejects file cannot be written.
    #[error("the rejects file cannot be written")]
    Rejects(#[source] std::io::Error),
    /// The database failed.
    #[error("the catalogue cannot be written")]
    Database(#[from] DbError),
}

/// Imports the file at `path`. Lines that are not valid are written to `rejects` as JSON Lines of
/// `{"line", "reason", "text"}`; without any, no such file is made and an old one is removed. `progress` is called after
/// each batch.
///
/// # Errors
/// [`ImportError`] when the import as a whole cannot go on; never for a single line.
pub async fn run(
    catalog: &CatalogService,
    path: &Path,
    rejects: &Path,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Report, ImportError> {
    let started = Instant::now();
    let total_bytes = std::fs::metadata(path).map_err(ImportError::Read)?.len();
    let read_bytes = Arc::new(AtomicU64::new(0));
    let rejected = Arc::new(AtomicU64::new(0));
    let (batches, mut incoming) = tokio::sync::mpsc::channel::<Vec<Entry>>(AHEAD);
    let job = read::Job {
        path: path.to_owned(),
        rejects: rejects.to_owned(),
        currency: catalog.0.currency,
        read_bytes: read_bytes.clone(),
        rejected: rejected.clone(),
    };
    let reader = tokio::task::spawn_blocking(move || job.run(&batches));
    let mut report = Report::default();
    let mut names = Names::default();
    let mut done = 0;
    while let Some(entries) = incoming.recv().await {
        done += entries.len() as u64;
        write(catalog, entries, &mut names, &mut report).await?;
        let rejected = rejected.load(Ordering::Relaxed);
        let read_bytes = read_bytes.load(Ordering::Relaxed);
        progress(Progress { done: done + rejected, total_bytes, read_bytes, rejected });
    }
    match reader.await {
        Ok(result) => result?,
        Err(panic) => return Err(ImportError::Read(std::io::Error::other(panic))),
    }
    report.rejected = rejected.load(Ordering::Relaxed);
    report.seconds = started.elapsed().as_secs_f64();
    progress(Progress {
        done: done + report.rejected,
        total_bytes,
        read_bytes: total_bytes,
        rejected: report.rejected,
    });
    tracing::info!(
        added = report.added,
        changed = report.changed,
        unchanged = report.unchanged,
        rejected = report.rejected,
        warnings = report.warnings,
        seconds = report.seconds,
        "imported"
    );
    Ok(report)
}

/// Writes one batch; again when somebody else changed the same at the same moment.
async fn write(
    catalog: &CatalogService,
    entries: Vec<Entry>,
    names: &mut Names,
    report: &mut Report,
) -> Result<(), ImportError> {
    let entries = Arc::new(entries);
    let mut attempt = 1;
    loop {
        let (outcome, returned) = batch::write(catalog, entries.clone(), std::mem::take(names)).await;
        match outcome {
            Ok(written) => {
                *names = returned;
                if names.len() > KNOWN_NAMES {
                    *names = Names::default();
                }
                report.added += written.added;
                report.changed += written.changed;
                report.unchanged += written.unchanged;
                report.warnings += written.warnings;
                return Ok(());
            }
            // Forgetting the known names also helps when one of them was removed meanwhile.
            Err(error) if attempt < ATTEMPTS && may_pass(&error) => {
                tracing::debug!(attempt, error = &error as &dyn std::error::Error, "a batch is tried again");
                tokio::time::sleep(Duration::from_millis(50) * attempt).await;
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn may_pass(error: &DbError) -> bool {
    error.is_transient() || error.is_unique_violation() || error.is_foreign_key_violation()
}
