use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bookworm_db::{DbError, Sql, Tx};
use bookworm_kernel::{BookId, Cause, Isbn13};

use super::{Job, record::Entry, report::Note};
use crate::{
    service::Catalog,
    store::{
        books::{self, Imported, Names, Placed},
        imports,
    },
};

/// What one batch did.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) added: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    /// Of the new ones.
    pub(super) not_for_sale: u64,
    pub(super) without_stock: u64,
    pub(super) notes: Vec<Note>,
}

impl Written {
    fn new_book(&mut self, entry: &Entry) {
        self.added += 1;
        self.not_for_sale += u64::from(!entry.draft.for_sale);
        self.without_stock += u64::from(entry.stock.is_none());
    }
}

/// Writes a batch in one unit of work. Returns the names it knows then; none when it failed. A job's lease is renewed
/// first, and how far it is stored last: `None`, with nothing written, when it has lost its lease.
pub(super) async fn write(
    catalog: &Arc<Catalog>,
    entries: Arc<Vec<Entry>>,
    names: Names,
    job: Option<Job>,
) -> (Result<Option<Written>, DbError>, Names) {
    let cached = Arc::new(Mutex::new(Names::default()));
    let (service, store) = (catalog.clone(), cached.clone());
    let outcome = catalog.db.transact(move |tx| {
        Box::pin(async move {
            let mut names = names;
            if let Some(job) = &job {
                let until = service.clock.now().plus(job.renewal);
                if !imports::renew(tx, job.id, job.lease, until).await? {
                    return Ok(None);
                }
            }
            let written = write_in(&service, tx, &entries, &mut names).await?;
            *store.lock().unwrap_or_else(PoisonError::into_inner) = names;
            if let Some(Job { id, mut totals, .. }) = job {
                totals.add(&written);
                imports::checkpoint(tx, id, &totals).await?;
            }
            Ok::<_, DbError>(Some(written))
        })
    });
    let outcome = outcome.await;
    let names = std::mem::take(&mut *cached.lock().unwrap_or_else(PoisonError::into_inner));
    let names = if outcome.is_ok() { names } else { Names::default() };
    (outcome, names)
}

/// The entries that count: of those with one key within the batch the last, as it would if they were further apart.
fn distinct<'a>(entries: &'a [Entry], written: &mut Written) -> Vec<&'a Entry> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        if let Some(before) = last.insert(&entry.source_id, i) {
            written.unchanged += 1;
            let message = format!("line {} has the same key; that one counts", entry.line);
            written.notes.push(Note::new(
                entries[before].line,
                Some("source_id".to_owned()),
                &entry.source_id,
                message,
            ));
        }
    }
    let mut lines: Vec<usize> = last.into_values().collect();
    lines.sort_unstable();
    lines.into_iter().map(|i| &entries[i]).collect()
}

/// An entry with the book that it is about, when there is one.
type Work<'a> = Vec<(&'a Entry, Option<&'a Imported>)>;

/// The entries that say something new.
fn news<'a>(entries: Vec<&'a Entry>, stored: &'a HashMap<String, Imported>, written: &mut Written) -> Work<'a> {
    let mut work = Vec::new();
    for entry in entries {
        match stored.get(&entry.source_id) {
            Some(book) if book.deleted || book.import_hash.as_deref() == Some(&entry.hash) => written.unchanged += 1,
            known => work.push((entry, known)),
        }
    }
    work
}

fn taken_isbn(entry: &Entry, isbn: Isbn13) -> Note {
    let message = "belongs to another book; this one is taken without it";
    Note::new(entry.line, Some("isbn13".to_owned()), &isbn.to_string(), message)
}

/// What a dry run has met so far: what it would have written.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashMap<String, Vec<u8>>,
    isbns: HashMap<Isbn13, String>,
}

/// What writing a batch would do.
pub(super) async fn foresee(catalog: &Arc<Catalog>, entries: &[Entry], seen: &mut Seen) -> Result<Written, DbError> {
    let db = catalog.db.read();
    let mut written = Written::default();
    let entries = distinct(entries, &mut written);
    let stored = stored(db, &entries).await?;
    let work = news(entries, &stored, &mut written);
    let isbns: Vec<Isbn13> = work.iter().filter_map(|(entry, _)| entry.draft.isbn13).collect();
    let owners = books::with_isbns(db, &isbns).await?;
    for (entry, known) in work {
        if let Some(isbn) = entry.draft.isbn13 {
            let own = known.map(|known| BookId::from_uuid(known.id));
            let before = seen.isbns.entry(isbn).or_insert_with(|| entry.source_id.clone());
            if owners.get(&isbn).is_some_and(|owner| Some(*owner) != own) || *before != entry.source_id {
                written.notes.push(taken_isbn(entry, isbn));
            }
        }
        match (known, seen.hashes.insert(entry.source_id.clone(), entry.hash.clone())) {
            (_, Some(hash)) if hash == entry.hash => written.unchanged += 1,
            (None, None) => written.new_book(entry),
            _ => written.changed += 1,
        }
    }
    Ok(written)
}

async fn stored(db: &impl Sql, entries: &[&Entry]) -> Result<HashMap<String, Imported>, DbError> {
    let keys: Vec<&str> = entries.iter().map(|entry| entry.source_id.as_str()).collect();
    books::imported(db, &keys).await
}

async fn write_in(catalog: &Arc<Catalog>, tx: &Tx, entries: &[Entry], names: &mut Names) -> Result<Written, DbError> {
    let now = catalog.clock.now();
    let mut written = Written::default();
    let entries = distinct(entries, &mut written);
    let stored = stored(tx, &entries).await?;
    let work = news(entries, &stored, &mut written);
    if work.is_empty() {
        return Ok(written);
    }

    // An ISBN belongs to the book that has it; another line keeps its book but not the number.
    let isbns: Vec<Isbn13> = work.iter().filter_map(|(entry, _)| entry.draft.isbn13).collect();
    let mut owners: HashMap<Isbn13, BookId> = books::with_isbns(tx, &isbns).await?;
    let resolved = names.resolve(tx, work.iter().map(|(entry, _)| &entry.draft)).await?;

    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (entry, known) in work {
        let mut draft = entry.draft.clone();
        let (id, version) = known.map_or_else(|| (BookId::new(), 1), |k| (BookId::from_uuid(k.id), k.version + 1));
        if let Some(isbn) = draft.isbn13
            && *owners.entry(isbn).or_insert(id) != id
        {
            draft.isbn13 = None;
            written.notes.push(taken_isbn(entry, isbn));
        }
        // A file without prices says nothing about those that staff gave.
        if let (Some(known), false) = (known, entry.priced) {
            (draft.price, draft.list_price, draft.for_sale) = (known.price, known.list_price, known.for_sale);
        }
        let mut placed = Placed::new(id, version, draft, entry.rating.clone(), &[names, &resolved])?;
        placed.import_hash = Some(entry.hash.clone());
        if known.is_some() {
            changed.push(placed);
        } else {
            written.new_book(entry);
            new.push((placed, entry.stock.unwrap_or_default()));
        }
    }
    names.extend(resolved);

    // Updates first: one of them may give up the ISBN that a new book takes.
    let updates: Vec<&Placed> = changed.iter().collect();
    if !updates.is_empty() && !books::update(tx, &updates, now).await? {
        return Err(DbError::Busy);
    }
    books::create(tx, &new, catalog.currency, now).await?;
    let cause = Cause::start();
    let touched: Vec<(BookId, i64)> =
        new.iter().map(|(book, _)| book).chain(&changed).map(|book| (book.id, book.version)).collect();
    for (id, version) in &touched {
        catalog.publish_changed(tx, &cause, *id, *version, false).await?;
    }
    let distinct: HashSet<BookId> = touched.iter().map(|(id, _)| *id).collect();
    debug_assert_eq!(distinct.len(), touched.len(), "each book is written once");
    let ids: Vec<BookId> = touched.into_iter().map(|(id, _)| id).collect();
    catalog.changed_with(tx, ids.clone());
    catalog.search_changed(tx, &ids).await?;
    written.changed = changed.len() as u64;
    Ok(written)
}
