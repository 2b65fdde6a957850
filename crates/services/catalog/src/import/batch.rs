use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bookworm_db::{DbError, Tx};
use bookworm_kernel::{BookId, Cause, Isbn13};

use super::record::Entry;
use crate::{
    CatalogService,
    store::books::{self, Names, Placed},
};

/// What one batch did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) added: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) warnings: u64,
}

/// Writes a batch in one unit of work. Returns the names it knows then; none when it failed.
pub(super) async fn write(
    catalog: &CatalogService,
    entries: Arc<Vec<Entry>>,
    names: Names,
) -> (Result<Written, DbError>, Names) {
    let kept = Arc::new(Mutex::new(Names::default()));
    let (service, keep) = (catalog.clone(), kept.clone());
    let outcome = catalog.0.db.transact(move |tx| {
        Box::pin(async move {
            let mut names = names;
            let written = write_in(&service, tx, &entries, &mut names).await?;
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = names;
            Ok::<_, DbError>(written)
        })
    });
    let outcome = outcome.await;
    let names = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    let names = if outcome.is_ok() { names } else { Names::default() };
    (outcome, names)
}

async fn write_in(catalog: &CatalogService, tx: &Tx, entries: &[Entry], names: &mut Names) -> Result<Written, DbError> {
    let now = catalog.0.clock.now();
    let mut written = Written { warnings: entries.iter().map(|entry| entry.warnings).sum(), ..Written::default() };

    // Of lines with one key within the batch the last counts, as it would if they were further apart.
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        if last.insert(&entry.source_id, i).is_some() {
            written.warnings += 1;
            written.unchanged += 1;
        }
    }
    let mut lines: Vec<usize> = last.values().copied().collect();
    lines.sort_unstable();

    let keys: Vec<&str> = lines.iter().map(|i| entries[*i].source_id.as_str()).collect();
    let stored = books::imported(tx, &keys).await?;
    let mut work = Vec::new();
    for entry in lines.into_iter().map(|i| &entries[i]) {
        match stored.get(&entry.source_id) {
            Some(book) if book.deleted || book.import_hash.as_deref() == Some(&entry.hash) => written.unchanged += 1,
            known => work.push((entry, known)),
        }
    }
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
            tracing::debug!(line = entry.line, %isbn, "the ISBN belongs to another book and is left out");
            draft.isbn13 = None;
            written.warnings += 1;
        }
        let mut placed = Placed::new(id, version, draft, entry.rating, &[names, &resolved])?;
        placed.import_hash = Some(entry.hash.clone());
        if known.is_some() { changed.push(placed) } else { new.push((placed, entry.stock)) }
    }
    names.extend(resolved);

    // Updates first: one of them may give up the ISBN that a new book takes.
    let updates: Vec<&Placed> = changed.iter().collect();
    if !updates.is_empty() && !books::update(tx, &updates, now).await? {
        return Err(DbError::Busy);
    }
    books::create(tx, &new, catalog.0.currency, now).await?;
    let cause = Cause::start();
    let touched: Vec<(BookId, i64)> =
        new.iter().map(|(book, _)| book).chain(&changed).map(|book| (book.id, book.version)).collect();
    for (id, version) in &touched {
        catalog.tell_changed(tx, &cause, *id, *version, false).await?;
    }
    let distinct: HashSet<BookId> = touched.iter().map(|(id, _)| *id).collect();
    debug_assert_eq!(distinct.len(), touched.len(), "each book is written once");
    let ids: Vec<BookId> = touched.into_iter().map(|(id, _)| id).collect();
    catalog.changed_with(tx, ids.clone());
    catalog.search_changed(tx, &ids).await?;
    written.added = new.len() as u64;
    written.changed = changed.len() as u64;
    Ok(written)
}
