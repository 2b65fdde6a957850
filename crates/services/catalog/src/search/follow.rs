//! The index follows the database.
//!
//! Every change leaves a row in the feed with the change itself ([`crate::store::feed`]). This loop reads the feed after
//! the index's own checkpoint and puts the books as they are now into the index, together with the next checkpoint: so
//! nothing is lost by a crash, and what is put twice is put the same. An index that has no checkpoint, or one of another
//! feed, is made anew from all books.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bookworm_contracts::events::catalog::SearchIndexUpdated;
use bookworm_db::{DbError, Sql};
use bookworm_kernel::{BookId, Cause};
use bookworm_search::{Batch, Index, Opened, Options, SearchError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Search,
    schema::{Facts, schema},
};
use crate::{
    domain::text::fold,
    service::Catalog,
    store::{
        books::{self, BookRow},
        feed::{self, Feed},
        names::{self, Kind},
        stored, synonyms,
    },
};

/// How often to look without having been woken: finds what other processes wrote.
const POLL: Duration = Duration::from_millis(400);
/// Changes that are read together.
const PAGE: i64 = 500;
/// From so many changes on they are put in bulk.
const MANY: i64 = 5_000;
/// Books between two commits in bulk.
const COMMIT: usize = 10_000;
/// The most books that are named in a message.
const NAMED: usize = 500;
/// How long changes are retained for an index that comes back from a backup.
const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How often old changes are removed.
const PRUNE: Duration = Duration::from_secs(600);
/// The longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Why the index does not follow.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] SearchError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the thread that writes the index ended: {0}")]
    Thread(String),
    #[error("a search failed on it")]
    Broken,
}

/// Opens the index and brings it up to date until `shutdown`.
pub(crate) async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    let search = catalog.search.clone();
    if search.folder().is_none() {
        return;
    }
    let mut pause = Duration::from_millis(200);
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        match attempt(&catalog, &search, &shutdown).await {
            Ok(()) => break,
            Err(failure) => {
                // Whoever still searches keeps the old index open; it goes when they are done.
                if matches!(failure, Failure::Index(_) | Failure::Thread(_) | Failure::Broken) {
                    search.set_index(None);
                }
                if !matches!(failure, Failure::Broken) {
                    search.set_error(Some(failure.to_string()));
                }
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "the search index does not follow the catalogue; trying again"
                );
            }
        }
        pause = if started.elapsed() > MAX_PAUSE { Duration::from_millis(200) } else { (pause * 2).min(MAX_PAUSE) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
    // The folder is free for the next process.
    search.set_index(None);
}

async fn attempt(catalog: &Arc<Catalog>, search: &Search, shutdown: &CancellationToken) -> Result<(), Failure> {
    let index = match search.index() {
        Some(index) => index,
        None => open(search).await?,
    };
    let follower = Follower { catalog, search, index, shutdown };
    follower.begin().await?;
    let mut pruned = Instant::now();
    loop {
        follower.catch_up().await?;
        if pruned.elapsed() > PRUNE {
            pruned = Instant::now();
            follower.prune().await?;
        }
        tokio::select! {
            () = search.0.changed.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if shutdown.is_cancelled() {
            return Ok(());
        }
        if search.is_broken() {
            return Err(Failure::Broken);
        }
    }
}

async fn open(search: &Search) -> Result<Index, Failure> {
    let Some(folder) = search.folder().map(ToOwned::to_owned) else { return Err(Failure::Broken) };
    let started = Instant::now();
    let index = blocking(move || Ok(Index::open(&folder, schema()?, Options::default())?)).await?;
    match index.opened() {
        Opened::Rebuilt { reason } => tracing::warn!(%reason, "the search index is made anew"),
        Opened::Created | Opened::Resumed => {}
    }
    let stats = index.stats();
    tracing::info!(
        books = stats.documents,
        vectors = stats.vectors,
        milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "search index opened"
    );
    search.set_index(Some(index.clone()));
    Ok(index)
}

async fn blocking<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Failure> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|panic| Failure::Thread(panic.to_string()))?
}

/// Up to where an index has seen a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checkpoint {
    feed: Uuid,
    seq: i64,
}

impl Checkpoint {
    fn parse(text: &str) -> Option<Self> {
        let (feed, seq) = text.split_once(' ')?;
        Some(Self { feed: feed.parse().ok()?, seq: seq.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{} {}", self.feed, self.seq)
    }

    /// Whether an index that stands here can follow: it has missed nothing, and has seen nothing that never was, as
    /// after the database came back from a backup.
    fn follows(self, feed: &Feed) -> bool {
        self.feed == feed.id && (feed.pruned_through..=feed.last).contains(&self.seq)
    }
}

struct Follower<'a> {
    catalog: &'a Arc<Catalog>,
    search: &'a Search,
    index: Index,
    shutdown: &'a CancellationToken,
}

impl Follower<'_> {
    async fn begin(&self) -> Result<(), Failure> {
        self.catalog.db.transact::<_, DbError, _>(|tx| Box::pin(feed::begin(tx))).await?;
        let (groups, version) = synonyms::read(self.catalog.db.read()).await?;
        self.search.set_synonyms(&groups, version);
        Ok(())
    }

    async fn feed(&self) -> Result<Feed, Failure> {
        let feed = feed::state(self.catalog.db.read()).await?;
        Ok(feed.ok_or_else(|| DbError::Corrupt("the feed of changes has no name".to_owned()))?)
    }

    /// Puts everything that changed into the index.
    async fn catch_up(&self) -> Result<(), Failure> {
        loop {
            let feed = self.feed().await?;
            if feed.synonyms > self.search.synonyms_version() {
                let (groups, version) = synonyms::read(self.catalog.db.read()).await?;
                self.search.set_synonyms(&groups, version);
                self.publish_updated(Vec::new()).await?;
            }
            let checkpoint = self.index.checkpoint().as_deref().and_then(Checkpoint::parse);
            match checkpoint.filter(|checkpoint| checkpoint.follows(&feed)) {
                None => self.rebuild(feed).await?,
                Some(at) if at.seq == feed.last => {
                    self.is_whole();
                    return Ok(());
                }
                Some(at) => {
                    self.is_whole();
                    if feed.last - at.seq > MANY {
                        self.follow_in_bulk(at, feed.last).await?;
                    } else {
                        self.follow(at).await?;
                    }
                }
            }
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Every book that was there at the checkpoint is in the index, and the rest comes.
    fn is_whole(&self) {
        if !self.search.0.whole.swap(true, Ordering::AcqRel) {
            self.search.set_error(None);
            self.search.0.unembedded.notify_one();
        }
    }

    /// Puts one page of changes.
    async fn follow(&self, at: Checkpoint) -> Result<(), Failure> {
        let started = Instant::now();
        let Some((batch, ids, seq)) = self.changes(at.seq).await? else { return Ok(()) };
        let (index, checkpoint, gone) = (self.index.clone(), Checkpoint { seq, ..at }.text(), batch.remove.clone());
        let changed = ids.len();
        blocking(move || {
            index.apply(batch, Some(&checkpoint))?;
            index.remove_vectors(&gone)?;
            Ok(())
        })
        .await?;
        self.seen(&ids);
        self.publish_updated(ids).await?;
        metrics::histogram!("search_index_apply_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("search_indexed_total").increment(changed as u64);
        Ok(())
    }

    /// The next page of changes: what to do, the books, and the last change. `None` when there is none.
    async fn changes(&self, after: i64) -> Result<Option<(Batch, Vec<BookId>, i64)>, Failure> {
        let db = self.catalog.db.read();
        let changes = feed::after(db, after, PAGE).await?;
        let Some(last) = changes.last() else { return Ok(None) };
        let distinct: BTreeSet<Uuid> = changes.iter().map(|change| change.book_id).collect();
        let ids: Vec<BookId> = distinct.iter().copied().map(BookId::from_uuid).collect();
        let rows = books::by_ids(db, &ids).await?;
        let facts = facts(db, rows, &mut HashMap::new()).await?;
        let there: BTreeSet<Uuid> = facts.iter().map(|book| book.id).collect();
        let batch = Batch {
            put: facts.iter().map(Facts::document).collect(),
            remove: distinct.difference(&there).copied().collect(),
        };
        Ok(Some((batch, ids, last.seq)))
    }

    /// Puts many changes.
    async fn follow_in_bulk(&self, mut at: Checkpoint, through: i64) -> Result<(), Failure> {
        let mut writer = Writer::begin(&self.index);
        let (mut progress, mut written) = (Progress::new(through - at.seq), 0);
        while at.seq < through && !self.shutdown.is_cancelled() {
            let Some((batch, ids, seq)) = self.changes(at.seq).await? else { break };
            at.seq = seq;
            written += ids.len();
            writer.send(Step::Put(batch)).await?;
            if written >= COMMIT {
                written = 0;
                writer.send(Step::Commit(at.text())).await?;
            }
            progress.step(ids.len(), "follows");
            self.seen(&ids);
        }
        writer.send(Step::Commit(at.text())).await?;
        writer.finish().await?;
        progress.done("follows");
        self.publish_updated(Vec::new()).await
    }

    /// Makes the index anew from all books.
    async fn rebuild(&self, feed: Feed) -> Result<(), Failure> {
        let db = self.catalog.db.read();
        let total = books::count(db).await?;
        let index = self.index.clone();
        blocking(move || Ok(index.clear()?)).await?;
        self.search.0.whole.store(false, Ordering::Release);
        let mut writer = Writer::begin(&self.index);
        let (mut progress, mut subjects) = (Progress::new(total), HashMap::new());
        let (mut after, mut written) = (Uuid::nil(), 0);
        while !self.shutdown.is_cancelled() {
            let rows = books::all(db, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let facts = facts(db, rows, &mut subjects).await?;
            let put: Vec<_> = facts.iter().map(Facts::document).collect();
            progress.step(put.len(), "is being made");
            written += put.len();
            writer.send(Step::Put(Batch { put, remove: Vec::new() })).await?;
            if written >= COMMIT {
                written = 0;
                writer.send(Step::Visible).await?;
            }
        }
        if self.shutdown.is_cancelled() {
            // Without a checkpoint the next process begins anew.
            return writer.finish().await;
        }
        // What changed meanwhile comes after this in the feed, and is put again.
        writer.send(Step::Commit(Checkpoint { feed: feed.id, seq: feed.last }.text())).await?;
        writer.finish().await?;
        progress.done("is made");
        self.publish_updated(Vec::new()).await
    }

    /// What this process caches of these books may be out of date: another process may have changed them.
    fn seen(&self, books: &[BookId]) {
        self.catalog.cache.changed(books);
        self.search.0.unembedded.notify_one();
    }

    /// Tells everybody that searches find these books as they are now.
    async fn publish_updated(&self, book_ids: Vec<BookId>) -> Result<(), Failure> {
        publish_updated(self.catalog, book_ids).await?;
        Ok(())
    }

    async fn prune(&self) -> Result<(), Failure> {
        let Some(at) = self.index.checkpoint().as_deref().and_then(Checkpoint::parse) else { return Ok(()) };
        let before = self.catalog.clock.now().minus(RETENTION);
        let pruned = self
            .catalog
            .db
            .transact::<_, DbError, _>(move |tx| Box::pin(async move { feed::prune(tx, at.seq, before).await }));
        let pruned = pruned.await?;
        if pruned > 0 {
            tracing::debug!(pruned, "old changes removed from the feed");
        }
        Ok(())
    }
}

/// Tells everybody that searches find these books as they are now; none when there are too many to name.
pub(super) async fn publish_updated(catalog: &Arc<Catalog>, mut book_ids: Vec<BookId>) -> Result<(), DbError> {
    if book_ids.len() > NAMED {
        book_ids.clear();
    }
    let service = catalog.clone();
    let published = catalog.db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            service.outbox.put(tx, &Cause::start(), &SearchIndexUpdated { book_ids }).await?;
            Ok(())
        })
    });
    published.await
}

/// What the index knows of these books. `subjects` remembers ids by folded names.
pub(super) async fn facts(
    db: &impl Sql,
    rows: Vec<BookRow>,
    subjects: &mut HashMap<String, Uuid>,
) -> Result<Vec<Facts>, DbError> {
    let mut all = Vec::with_capacity(rows.len());
    let mut unknown = BTreeSet::new();
    for row in rows {
        let corrupt = |what: &str| DbError::Corrupt(format!("{what} of book {}", row.id));
        let authors = stored::authors(&row.authors).map_err(|_| corrupt("authors"))?;
        let named: Vec<String> = serde_json::from_str(&row.subjects).map_err(|_| corrupt("subjects"))?;
        unknown.extend(named.iter().map(|name| fold(name)).filter(|key| !subjects.contains_key(key)));
        let book = Facts {
            id: row.id,
            isbn13: row.isbn13,
            title: row.title,
            authors: authors.into_iter().map(|author| (author.id.uuid(), author.name)).collect(),
            subjects: Vec::new(),
            publisher: row.publisher,
            year: row.year,
            language: row.language,
            series: row.series,
            series_position: row.series_position,
            description: row.description,
            price: row.for_sale.then_some(row.price),
            readers: row.rating_count,
            rating_key: row.rating_key,
            in_stock: row.available > 0,
        };
        all.push((book, named));
    }
    if !unknown.is_empty() {
        subjects.extend(names::ids(db, Kind::Subject, &unknown.into_iter().collect::<Vec<_>>()).await?);
    }
    Ok(all
        .into_iter()
        .map(|(mut book, named)| {
            // A subject that was renamed at this very moment is put again with the book.
            let id = |name: &String| subjects.get(&fold(name)).copied().unwrap_or_default();
            book.subjects = named.into_iter().map(|name| (id(&name), name)).collect();
            book
        })
        .collect())
}

/// What the thread that writes in bulk is to do.
enum Step {
    Put(Batch),
    /// Makes what was put so far visible.
    Visible,
    /// Makes it visible, with a checkpoint.
    Commit(String),
}

/// A thread that writes while the next books are read.
struct Writer {
    steps: mpsc::Sender<Step>,
    thread: tokio::task::JoinHandle<Result<(), SearchError>>,
}

impl Writer {
    fn begin(index: &Index) -> Self {
        let (steps, mut incoming) = mpsc::channel(4);
        let index = index.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut bulk = index.bulk()?;
            let mut checkpoint: Option<String> = None;
            while let Some(step) = incoming.blocking_recv() {
                match step {
                    Step::Put(batch) => bulk.add(batch)?,
                    Step::Visible => bulk.commit(None)?,
                    Step::Commit(at) => {
                        bulk.commit(Some(&at))?;
                        checkpoint = Some(at);
                    }
                }
            }
            bulk.finish(checkpoint.as_deref())
        });
        Self { steps, thread }
    }

    async fn send(&mut self, step: Step) -> Result<(), Failure> {
        if self.steps.send(step).await.is_ok() {
            return Ok(());
        }
        // It has failed: its end says why.
        (&mut self.thread).await.map_err(|panic| Failure::Thread(panic.to_string()))??;
        Err(Failure::Thread("without a reason".to_owned()))
    }

    async fn finish(self) -> Result<(), Failure> {
        drop(self.steps);
        Ok(self.thread.await.map_err(|panic| Failure::Thread(panic.to_string()))??)
    }
}

/// Says in the log how far it is.
struct Progress {
    started: Instant,
    logged_at: Instant,
    total: i64,
    done: usize,
}

impl Progress {
    fn new(total: i64) -> Self {
        Self { started: Instant::now(), logged_at: Instant::now(), total, done: 0 }
    }

    fn step(&mut self, books: usize, what: &str) {
        self.done += books;
        if self.logged_at.elapsed() > Duration::from_secs(5) {
            self.logged_at = Instant::now();
            tracing::info!(books = self.done, of = self.total, per_second = self.rate(), "the search index {what}");
        }
    }

    fn done(&self, what: &str) {
        if self.done > 0 {
            let seconds = self.started.elapsed().as_secs_f64();
            tracing::info!(books = self.done, seconds, per_second = self.rate(), "the search index {what}");
        }
    }

    fn rate(&self) -> u64 {
        (self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_follows_only_a_feed_that_it_has_seen_without_a_gap() {
        let id = Uuid::now_v7();
        let feed = Feed { id, pruned_through: 10, last: 20, synonyms: 0 };
        for (at, follows) in [(9, false), (10, true), (15, true), (20, true), (21, false)] {
            assert_eq!(Checkpoint { feed: id, seq: at }.follows(&feed), follows, "{at}");
        }
        assert!(!Checkpoint { feed: Uuid::now_v7(), seq: 15 }.follows(&feed));
        let checkpoint = Checkpoint { feed: id, seq: 15 };
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Some(checkpoint));
        assert_eq!(Checkpoint::parse("soon"), None);
    }
}
