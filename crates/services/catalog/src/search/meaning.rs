//! Every book gets its vector.
//!
//! In the background, once words are searched: books whose text has no vector yet, or another text than when its vector
//! was made (a fingerprint beside the vector says so). Vectors are stored with the index, so a restart makes none twice.
//! While the model does not answer this waits, and goes on by itself.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bookworm_db::DbError;
use bookworm_kernel::BookId;
use bookworm_search::{Index, SearchError, VectorModel};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Embedder, NoMeaning, Search, embed::Embedded, follow};
use crate::{service::Catalog, store::books};

/// Texts that are embedded together.
const BATCH: usize = 16;
/// Books that are looked at together.
const PAGE: i64 = 500;
/// How often to look whether there is anything to do without having been woken.
const IDLE: Duration = Duration::from_secs(5);
/// How often those who cache answers learn that more books are found by meaning.
const PUBLISH_EVERY: Duration = Duration::from_secs(60);
/// The longest pause while the model does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Why no vectors are made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] SearchError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the model does not answer")]
    NoMeaning(NoMeaning),
}

/// A book's text and its mark.
struct Text {
    id: Uuid,
    fingerprint: u64,
    text: String,
}

fn fingerprint(text: &str) -> u64 {
    let hash = Sha256::digest(text.as_bytes());
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// Gives every book its vector until `shutdown`.
pub(crate) async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    let search = catalog.search.clone();
    let Some(embedder) = search.embedder() else { return };
    let mut worker = Worker::new(&catalog, &search, embedder);
    let mut pause = Duration::from_millis(200);
    loop {
        let wait = match worker.step().await {
            Ok(true) => {
                pause = Duration::from_millis(200);
                Duration::ZERO
            }
            Ok(false) => IDLE,
            Err(failure) => {
                tracing::debug!(error = &failure as &dyn std::error::Error, "vectors wait");
                if !matches!(failure, Failure::NoMeaning(_)) {
                    search.set_error(Some(failure.to_string()));
                }
                pause = (pause * 2).min(MAX_PAUSE);
                pause
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = search.0.unembedded.notified(), if wait == IDLE => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Worker<'a> {
    catalog: &'a Arc<Catalog>,
    search: &'a Search,
    embedder: &'a Embedder,
    /// The opening of the index that is worked on.
    opened: u64,
    /// The last book that was looked at of all; `None` when all were.
    scan: Option<Uuid>,
    ready: VecDeque<Text>,
    /// Texts that the model does not take: until the next start.
    refused: HashSet<u64>,
    started: Instant,
    logged_at: Instant,
    published_at: Instant,
    done: usize,
}

impl<'a> Worker<'a> {
    fn new(catalog: &'a Arc<Catalog>, search: &'a Search, embedder: &'a Embedder) -> Self {
        let now = Instant::now();
        Self {
            catalog,
            search,
            embedder,
            opened: 0,
            scan: Some(Uuid::nil()),
            ready: VecDeque::new(),
            refused: HashSet::new(),
            started: now,
            logged_at: now,
            published_at: now,
            done: 0,
        }
    }

    /// Does a little; `false` when there is nothing to do now.
    async fn step(&mut self) -> Result<bool, Failure> {
        let Some(index) = self.search.index().filter(|_| self.search.is_whole()) else { return Ok(false) };
        if self.opened != self.search.opened() {
            self.opened = self.search.opened();
            self.begin();
        }
        if self.embedder.status().await.is_none() && self.embedder.is_failing() {
            return Err(Failure::NoMeaning(NoMeaning::Failing));
        }
        if self.embedder.is_off() {
            return Ok(false);
        }
        if self.ready.len() < BATCH {
            self.look(&index).await?;
        }
        if self.ready.is_empty() {
            if self.scan.is_some() {
                return Ok(true);
            }
            self.all_done().await?;
            return Ok(!self.search.dirty().is_empty());
        }
        self.embed(&index).await?;
        Ok(true)
    }

    fn begin(&mut self) {
        self.scan = Some(Uuid::nil());
        self.ready.clear();
        self.started = Instant::now();
        self.done = 0;
    }

    /// Looks for texts without a vector: those that changed before the rest.
    async fn look(&mut self, index: &Index) -> Result<(), Failure> {
        let dirty: Vec<Uuid> = {
            let mut dirty = self.search.dirty();
            let first: Vec<Uuid> = dirty.iter().take(PAGE as usize).copied().collect();
            first.iter().for_each(|id| {
                dirty.remove(id);
            });
            first
        };
        let db = self.catalog.db.read();
        let rows = if dirty.is_empty() {
            let Some(after) = self.scan else { return Ok(()) };
            let rows = books::all(db, after, PAGE).await?;
            self.scan = rows.last().map(|row| row.id);
            rows
        } else {
            self.search.0.embedded.store(false, Ordering::Release);
            let ids: Vec<BookId> = dirty.iter().copied().map(BookId::from_uuid).collect();
            match books::by_ids(db, &ids).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.search.note_dirty(dirty);
                    return Err(error.into());
                }
            }
        };
        // Only the names of subjects are in the text, not their ids.
        let facts = follow::facts(db, rows, &mut HashMap::new()).await?;
        for book in facts {
            let text = book.text();
            let fingerprint = fingerprint(&text);
            if index.fingerprint(book.id) != Some(fingerprint) && !self.refused.contains(&fingerprint) {
                self.ready.push_back(Text { id: book.id, fingerprint, text });
            }
        }
        Ok(())
    }

    async fn embed(&mut self, index: &Index) -> Result<(), Failure> {
        let batch: Vec<Text> = self.ready.drain(..self.ready.len().min(BATCH)).collect();
        let texts = batch.iter().map(|text| text.text.clone()).collect();
        match self.embedder.books(texts).await {
            Ok(vectors) => self.store(index, batch, vectors).await,
            Err(NoMeaning::Refused) if batch.len() > 1 => {
                // One of them is the culprit.
                for text in batch {
                    match self.embedder.books(vec![text.text.clone()]).await {
                        Ok(vectors) => self.store(index, vec![text], vectors).await?,
                        Err(NoMeaning::Refused) => self.refuse(&text),
                        Err(failing) => {
                            self.ready.push_front(text);
                            return Err(Failure::NoMeaning(failing));
                        }
                    }
                }
                Ok(())
            }
            Err(NoMeaning::Refused) => {
                batch.iter().for_each(|text| self.refuse(text));
                Ok(())
            }
            Err(failing) => {
                batch.into_iter().rev().for_each(|text| self.ready.push_front(text));
                Err(Failure::NoMeaning(failing))
            }
        }
    }

    fn refuse(&mut self, text: &Text) {
        tracing::warn!(book = %text.id, "the model does not take this book's text: it is found by its words alone");
        self.refused.insert(text.fingerprint);
    }

    async fn store(&mut self, index: &Index, batch: Vec<Text>, vectors: Vec<Embedded>) -> Result<(), Failure> {
        let Some(first) = vectors.first() else { return Ok(()) };
        let model = VectorModel { name: first.model.clone(), dimensions: first.vector.len() };
        let another = index.model().as_ref() != Some(&model);
        let rows: Vec<(Uuid, u64, Vec<f32>)> =
            batch.iter().zip(vectors).map(|(text, embedded)| (text.id, text.fingerprint, embedded.vector)).collect();
        let (count, index) = (rows.len(), index.clone());
        let work = tokio::task::spawn_blocking(move || {
            if another {
                index.use_model(&model)?;
            }
            index.put_vectors(&rows)
        });
        work.await.map_err(|panic| SearchError::Engine(panic.to_string()))??;
        if another {
            // Vectors of another model are gone: every book is looked at again.
            tracing::info!("books get vectors of a model that is new to the index");
            self.begin();
        }
        self.done += count;
        if self.logged_at.elapsed() > Duration::from_secs(10) {
            self.logged_at = Instant::now();
            tracing::info!(books = self.done, per_second = self.rate(), "books get their vectors");
        }
        if self.published_at.elapsed() > PUBLISH_EVERY {
            self.published_at = Instant::now();
            follow::publish_updated(self.catalog, Vec::new()).await?;
        }
        Ok(())
    }

    async fn all_done(&mut self) -> Result<(), Failure> {
        if self.search.0.embedded.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if self.done > 0 {
            tracing::info!(books = self.done, per_second = self.rate(), "every book has its vector");
            self.done = 0;
            self.started = Instant::now();
            self.published_at = Instant::now();
            follow::publish_updated(self.catalog, Vec::new()).await?;
        }
        Ok(())
    }

    fn rate(&self) -> u64 {
        (self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }
}
