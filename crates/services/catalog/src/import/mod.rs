//! Fills the catalogue from a file.
//!
//! One record is one book: CSV or JSON in their usual shapes, plain or gzip. What a file is, how its letters are encoded
//! and what its columns say is found out by looking at it ([`Plan`]); what cannot be found out is said, never guessed. A
//! record is known by its `source_id` and by a hash of what it says, so that importing again writes only what changed,
//! and an import that was stopped is finished by running it again. A record that is not valid is reported with its line,
//! column, value and reason; the rest goes on. Memory does not grow with the file: records are read on a thread of their
//! own and written in batches.
//!
//! The file tells what a book is, not how many there are now: `stock` counts for a new book only. A book without a price
//! is not for sale. A book that staff took from sale stays so.
//!
//! The shop may run meanwhile, also in another process: every batch is one unit of work like any other, and answers that
//! the other process caches expire within a second.

mod batch;
mod columns;
#[cfg(test)]
mod corpus;
mod objects;
mod paper;
mod read;
mod record;
mod report;
mod rows;
mod source;
mod values;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bookworm_db::DbError;
use bookworm_kernel::Money;
use uuid::Uuid;

use self::{
    batch::{Seen, Written},
    read::{Item, Reader},
    record::Entry,
};
pub use self::{
    columns::{ColumnUse, Field, Mapping, Program},
    paper::Papers,
    read::Options,
    report::{Note, Plan, Reject},
    source::Source,
};
use crate::{service::Catalog, store::books::Names};

/// Records written together.
const BATCH: usize = 500;
/// Batches read ahead.
const AHEAD: usize = 2;
/// Names cached to spare looking them up again; when there are more, all are dropped.
const KNOWN_NAMES: usize = 200_000;
/// How often a batch that met somebody else's change is tried.
const ATTEMPTS: u32 = 5;
/// Notes and rejected records that a report repeats. All of them are in its files.
const REPORTED: usize = 50;
/// Adjustments made while writing that an import stores to resume.
const NOTED: usize = 200;
/// Books that a report shows as they were understood.
const SAMPLES: usize = 5;

/// How far an import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records dealt with.
    pub done: u64,
    /// Size of the file.
    pub total_bytes: u64,
    /// Of these, read; in a compressed file counted as compressed.
    pub read_bytes: u64,
    /// Records that were not valid.
    pub rejected: u64,
}

/// What an import did, or would do. `added + changed + unchanged + rejected` is the number of records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// How the file was understood.
    pub plan: Plan,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Records of the file.
    pub records: u64,
    /// Books that were not there.
    pub added: u64,
    /// Books whose record says something else than last time.
    pub changed: u64,
    /// Books whose record says the same as last time, or that staff took from sale.
    pub unchanged: u64,
    /// Records that are not valid.
    pub rejected: u64,
    /// New books that have no price, or that the file marks as not sold: they cannot be bought.
    pub not_for_sale: u64,
    /// New books of which the file does not say how many there are: they have no copies.
    pub without_stock: u64,
    /// Details that were left out or taken otherwise than they stand in the file.
    pub adjusted: u64,
    /// Whether any column says what books cost.
    pub has_prices: bool,
    /// Whether any column says how many copies there are.
    pub has_stock: bool,
    /// The first adjustments.
    pub notes: Vec<Note>,
    /// The first rejected records.
    pub rejects: Vec<Reject>,
    /// The first books, as they were understood.
    pub samples: Vec<Sample>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Whether not one record was taken, also because there is none.
    #[must_use]
    pub fn is_fruitless(&self) -> bool {
        self.rejected == self.records
    }
}

/// A book as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The line where its record begins.
    pub line: u64,
    /// Its title.
    pub title: String,
    /// Its authors.
    pub authors: Vec<String>,
    /// Its ISBN.
    pub isbn13: Option<String>,
    /// Its price; none when it is not for sale.
    pub price: Option<Money>,
    /// Copies, where the file says.
    pub stock: Option<i64>,
    /// Its language.
    pub language: Option<String>,
}

/// An import cannot go on. What was written before stays; run it again to finish.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read, or its compressed data is damaged.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// It is of a kind that is not read; what it is and what to do.
    #[error("{0}")]
    Format(String),
    /// No column is the title.
    #[error(
        "No column is understood as the title. The first line must name the columns; here it names {columns}. Say which one is the title (title=COLUMN)."
    )]
    Header {
        /// What the first line has, as a list for people.
        columns: String,
        /// The same, one by one.
        names: Vec<String>,
    },
    /// A column was named that is not there.
    #[error("The file has no column `{column}` for {field}; it has {columns}.")]
    Column {
        /// The field.
        field: &'static str,
        /// The column.
        column: String,
        /// Those that there are.
        columns: String,
    },
    /// The rejects file or the report cannot be written.
    #[error("the report cannot be written")]
    Report(#[source] std::io::Error),
    /// Another process has the lease now, or staff cancelled the import.
    #[error("the import was stopped")]
    Stopped,
    /// The database failed.
    #[error("the catalogue cannot be written")]
    Database(#[from] DbError),
}

/// How far an import that can be resumed is: what was written, stored in the transaction that wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    /// Records dealt with, from the beginning of the file.
    pub(crate) records: u64,
    pub(crate) added: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) rejected: u64,
    pub(crate) not_for_sale: u64,
    pub(crate) without_stock: u64,
    /// Of the file, in percent.
    pub(crate) percent: u64,
    /// How many adjustments writing made, such as an ISBN that belongs to another book.
    pub(crate) adjusted: u64,
    /// The first of them: reading the file again does not find them again.
    pub(crate) notes: Vec<Note>,
}

/// An import of an uploaded file: who runs it, and from where it goes on.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) lease: Uuid,
    /// How long each batch renews the lease.
    pub(crate) renewal: Duration,
    pub(crate) totals: Totals,
}

/// What a run does with the books that it reads.
pub(crate) enum Mode {
    /// Finds out what would be written.
    Dry,
    Write,
    /// Writes, and stores after each batch how far it is.
    Resumable(Job),
}

/// Imports a file, or finds out what an import would do. Every rejected record and every adjustment goes to `papers`.
/// `progress` is called after each batch. A resumable import skips the records that its totals say are written, and ends
/// with [`ImportError::Stopped`] before it writes anything once its lease is lost.
///
/// # Errors
/// [`ImportError`] when the import as a whole cannot go on; never for a single record.
pub(crate) async fn run(
    catalog: &Arc<Catalog>,
    source: &Source,
    options: &Options,
    mut mode: Mode,
    papers: &mut Papers,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Report, ImportError> {
    let dry_run = matches!(mode, Mode::Dry);
    let started = Instant::now();
    let total_bytes = source.size().map_err(ImportError::Read)?;
    let read_bytes = Arc::new(AtomicU64::new(0));
    let (batches, mut incoming) = tokio::sync::mpsc::channel::<Vec<Item>>(AHEAD);
    let (source, options, currency, counted) = (source.clone(), options.clone(), catalog.currency, read_bytes.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = Reader::open(&source, &options, currency, &counted)?;
        let mut batch = Vec::with_capacity(BATCH);
        let ended = loop {
            match reader.next() {
                Ok(Some(item)) => batch.push(item),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if batch.len() == BATCH
                && batches.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err()
            {
                break Ok(());
            }
        };
        if !batch.is_empty() {
            let _ = batches.blocking_send(batch);
        }
        ended.map(|()| (reader.plan(), reader.has_prices(), reader.has_stock()))
    });
    let mut report = Report { dry_run, ..Report::default() };
    let (mut names, mut seen) = (Names::default(), Seen::default());
    let mut written_before = 0;
    if let Mode::Resumable(Job { totals, .. }) = &mode {
        written_before = totals.records;
        (report.added, report.changed, report.unchanged) = (totals.added, totals.changed, totals.unchanged);
        (report.not_for_sale, report.without_stock) = (totals.not_for_sale, totals.without_stock);
        report.adjusted = totals.adjusted - totals.notes.len() as u64;
        add_notes(&mut report, papers, totals.notes.clone())?;
    }
    while let Some(items) = incoming.recv().await {
        report.records += items.len() as u64;
        let mut entries = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Taken(entry) => entries.push(*entry),
                Item::Rejected(reject) => {
                    report.rejected += 1;
                    papers.reject(&reject).map_err(ImportError::Report)?;
                    if report.rejects.len() < REPORTED {
                        report.rejects.push(*reject);
                    }
                }
            }
        }
        show(&mut report, &entries, catalog);
        let mut notes: Vec<Note> = entries.iter_mut().flat_map(|entry| std::mem::take(&mut entry.notes)).collect();
        let read_now = read_bytes.load(Ordering::Relaxed).min(total_bytes);
        let written = match &mut mode {
            Mode::Dry => batch::foresee(catalog, &entries, &mut seen).await?,
            Mode::Write => write(catalog, entries, &mut names, None).await?,
            // Batches are the same each time, since the file and what it is understood as are.
            Mode::Resumable(_) if report.records <= written_before => Written::default(),
            Mode::Resumable(job) => {
                job.totals.records = report.records;
                job.totals.rejected = report.rejected;
                job.totals.percent = (read_now * 100).checked_div(total_bytes).unwrap_or(100);
                let written = write(catalog, entries, &mut names, Some(job.clone())).await?;
                job.totals.add(&written);
                written
            }
        };
        report.added += written.added;
        report.changed += written.changed;
        report.unchanged += written.unchanged;
        report.not_for_sale += written.not_for_sale;
        report.without_stock += written.without_stock;
        notes.extend(written.notes);
        notes.sort_by_key(|note| note.line);
        add_notes(&mut report, papers, notes)?;
        progress(Progress { done: report.records, total_bytes, read_bytes: read_now, rejected: report.rejected });
    }
    papers.finish().map_err(ImportError::Report)?;
    let read = match reading.await {
        Ok(read) => read,
        Err(panic) => Err(ImportError::Read(std::io::Error::other(panic))),
    };
    (report.plan, report.has_prices, report.has_stock) = read?;
    report.seconds = started.elapsed().as_secs_f64();
    progress(Progress { done: report.records, total_bytes, read_bytes: total_bytes, rejected: report.rejected });
    tracing::info!(
        dry_run,
        records = report.records,
        added = report.added,
        changed = report.changed,
        unchanged = report.unchanged,
        rejected = report.rejected,
        adjusted = report.adjusted,
        seconds = report.seconds,
        "imported"
    );
    Ok(report)
}

impl Totals {
    fn add(&mut self, written: &Written) {
        self.added += written.added;
        self.changed += written.changed;
        self.unchanged += written.unchanged;
        self.not_for_sale += written.not_for_sale;
        self.without_stock += written.without_stock;
        self.adjusted += written.notes.len() as u64;
        let room = NOTED.saturating_sub(self.notes.len());
        self.notes.extend(written.notes.iter().take(room).cloned());
    }
}

/// Writes notes down, and repeats the first of them.
fn add_notes(report: &mut Report, papers: &mut Papers, notes: Vec<Note>) -> Result<(), ImportError> {
    for note in notes {
        report.adjusted += 1;
        papers.note(&note).map_err(ImportError::Report)?;
        if report.notes.len() < REPORTED {
            report.notes.push(note);
        }
    }
    Ok(())
}

/// Takes the first books as examples.
fn show(report: &mut Report, entries: &[Entry], catalog: &Arc<Catalog>) {
    for entry in entries.iter().take(SAMPLES - report.samples.len().min(SAMPLES)) {
        report.samples.push(Sample {
            line: entry.line,
            title: entry.draft.title.clone(),
            authors: entry.draft.authors.clone(),
            isbn13: entry.draft.isbn13.map(|isbn| isbn.to_string()),
            price: entry.draft.for_sale.then(|| Money::new(entry.draft.price, catalog.currency)),
            stock: entry.stock,
            language: entry.draft.language.clone(),
        });
    }
}

/// Writes one batch; again when somebody else changed the same at the same moment.
async fn write(
    catalog: &Arc<Catalog>,
    entries: Vec<Entry>,
    names: &mut Names,
    job: Option<Job>,
) -> Result<Written, ImportError> {
    let entries = Arc::new(entries);
    let mut attempt = 1;
    loop {
        let (outcome, returned) = batch::write(catalog, entries.clone(), std::mem::take(names), job.clone()).await;
        match outcome {
            Ok(None) => return Err(ImportError::Stopped),
            Ok(Some(written)) => {
                *names = returned;
                if names.len() > KNOWN_NAMES {
                    *names = Names::default();
                }
                return Ok(written);
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
