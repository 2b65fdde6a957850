//! Every book gets its vector.
//!
//! In the background, once words are searched, by one instance of several: books whose text has no vector in the database
//! yet, or another text than when its vector was made (a fingerprint beside the vector says so). From there every
//! instance takes them over (`take.rs`). A vector that only the index's folder has, as earlier releases stored it, is
//! taken from there and not made again. While the model does not answer this waits, and goes on by itself.
//!
//! Two at once would do no harm: before a text is embedded it is looked up whether somebody did, and a vector is only
//! put in the place of the one that was there when the text was read.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bookworm_db::DbError;
use bookworm_kernel::BookId;
use bookworm_search::{Index, SearchError};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Embedder, NoMeaning, Search, embed::Embedded, follow};
use crate::{
    service::Catalog,
    store::{
        books::{self, BookRow},
        feed,
        vectors::{self, Model, Standing, Vector},
    },
};

/// Texts that are embedded together.
const BATCH: usize = 16;
/// Books that are looked at together.
const PAGE: i64 = 500;
/// Vectors of a folder that are put into the database together.
const FOUND: usize = 64;
/// How often to look whether there is anything to do without having been woken.
const IDLE: Duration = Duration::from_secs(5);
/// The longest pause while the model does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long the index of this instance is waited for: it may have vectors. Without one they can still be made.
const NO_INDEX: Duration = Duration::from_secs(60);

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
    /// The mark of the vector that was there when the text was read.
    before: Option<u64>,
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
    let mut said = None;
    loop {
        let step = worker.step().await;
        if step.is_ok() {
            search.clear_error(said.take());
        }
        let wait = match step {
            Ok(true) => {
                pause = Duration::from_millis(200);
                Duration::ZERO
            }
            Ok(false) => IDLE,
            Err(failure) => {
                tracing::debug!(error = &failure as &dyn std::error::Error, "vectors wait");
                if !matches!(failure, Failure::NoMeaning(_)) {
                    said = Some(failure.to_string());
                    search.set_error(said.clone());
                    // Texts that were taken out to be embedded are gone: comparing marks again finds them.
                    worker.begin();
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

/// What is still to be looked at.
#[derive(Clone, Copy)]
enum Scan {
    /// Every book after this one.
    All { after: Uuid, then: i64 },
    /// The books that changed after this place in the feed.
    Changes(i64),
}

struct Worker<'a> {
    catalog: &'a Arc<Catalog>,
    search: &'a Search,
    embedder: &'a Embedder,
    scan: Option<Scan>,
    ready: VecDeque<Text>,
    /// Texts that the model does not take: until the next start.
    refused: HashSet<u64>,
    /// What the models call themselves, as far as they are ready.
    model: Option<String>,
    /// The model of the vectors that were looked at.
    seen: Option<Model>,
    began: Instant,
    started: Instant,
    logged_at: Instant,
    done: usize,
}

impl<'a> Worker<'a> {
    fn new(catalog: &'a Arc<Catalog>, search: &'a Search, embedder: &'a Embedder) -> Self {
        let now = Instant::now();
        Self {
            catalog,
            search,
            embedder,
            scan: None,
            ready: VecDeque::new(),
            refused: HashSet::new(),
            model: None,
            seen: None,
            began: now,
            started: now,
            logged_at: now,
            done: 0,
        }
    }

    /// Does a little; `false` when there is nothing to do now.
    async fn step(&mut self) -> Result<bool, Failure> {
        let index = self.search.index();
        let hopeless = index.is_none() && self.began.elapsed() > NO_INDEX;
        if !self.search.is_whole() && !hopeless {
            return Ok(false);
        }
        let status = self.embedder.status().await;
        if status.is_none() && self.embedder.is_failing() {
            return Err(Failure::NoMeaning(NoMeaning::Failing));
        }
        if self.embedder.is_off() {
            return Ok(false);
        }
        if let Some(model) = status.filter(|status| status.ready).map(|status| status.model)
            && self.model.as_ref() != Some(&model)
        {
            self.model = Some(model);
            self.begin();
        }
        if self.ready.len() < BATCH && !self.look(index.as_ref()).await? {
            return Ok(true);
        }
        if self.ready.is_empty() {
            self.all_done().await?;
            // Otherwise it begins anew.
            return Ok(self.scan.is_none());
        }
        self.embed().await?;
        Ok(true)
    }

    /// Looks at every book from now on.
    fn begin(&mut self) {
        self.scan = None;
        self.ready.clear();
        self.started = Instant::now();
        self.done = 0;
    }

    /// Looks for texts without a vector among the next books. Whether it has looked at all.
    async fn look(&mut self, index: Option<&Index>) -> Result<bool, Failure> {
        let db = self.catalog.db.read();
        let Some(feed) = feed::state(db).await? else {
            self.catalog.db.transact::<_, DbError, _>(|tx| Box::pin(feed::begin(tx))).await?;
            return Ok(false);
        };
        let scan = self.scan.unwrap_or(Scan::All { after: Uuid::nil(), then: feed.last });
        let (rows, next, all) = match scan {
            // The table has forgotten what was not looked at, or came back from a backup.
            Scan::Changes(at) if !(feed.pruned_through..=feed.last).contains(&at) => {
                self.begin();
                return Ok(false);
            }
            Scan::Changes(at) => {
                let changes = feed::after(db, at, PAGE).await?;
                let Some(last) = changes.last() else { return Ok(true) };
                let distinct: HashSet<Uuid> = changes.iter().map(|change| change.book_id).collect();
                let ids: Vec<BookId> = distinct.into_iter().map(BookId::from_uuid).collect();
                (books::by_ids(db, &ids).await?, Scan::Changes(last.seq), last.seq >= feed.last)
            }
            Scan::All { after, then } => {
                let rows = books::all(db, after, PAGE).await?;
                let next = match rows.last() {
                    Some(last) => Scan::All { after: last.id, then },
                    None => Scan::Changes(then),
                };
                (rows, next, false)
            }
        };
        // First, for whoever finds another model while sorting begins anew.
        self.scan = Some(next);
        self.sort(index, rows).await?;
        Ok(all && self.scan.is_some())
    }

    /// Finds out which of these books need a vector, and puts those that the folder has.
    async fn sort(&mut self, index: Option<&Index>, rows: Vec<BookRow>) -> Result<(), Failure> {
        let db = self.catalog.db.read();
        let standing = self.standing().await?;
        // A book that changed again is embedded once, by its newer text.
        let looked_at: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        self.ready.retain(|text| !looked_at.contains(&text.id));
        let is_usable = |name: &str| self.model.as_ref().is_none_or(|model| model == name);
        let marks = self.marks(standing.as_ref(), rows.iter().map(|row| row.id).collect()).await?;
        // The folder's count when there is nothing newer to compare them with.
        let folder = index.and_then(|index| Some((index.clone(), index.model()?)));
        let folder = folder.filter(|(_, model)| {
            let others = standing.as_ref().filter(|standing| is_usable(&standing.model().name));
            is_usable(&model.name) && others.is_none_or(|standing| standing.model() == stored(model))
        });
        // Only the names of subjects are in the text, not their ids.
        let facts = follow::facts(db, rows, &mut HashMap::new()).await?;
        let mut found = Vec::new();
        for book in facts {
            let text = book.text();
            let (id, fingerprint) = (book.id, fingerprint(&text));
            let before = marks.get(&id).copied();
            if before == Some(fingerprint) || self.refused.contains(&fingerprint) {
                continue;
            }
            match &folder {
                Some((index, _)) if index.fingerprint(id) == Some(fingerprint) => found.push((id, fingerprint, before)),
                _ => self.ready.push_back(Text { id, fingerprint, text, before }),
            }
        }
        if let Some((index, model)) = folder {
            for found in found.chunks(FOUND) {
                let (index, wanted) = (index.clone(), found.to_vec());
                let read = tokio::task::spawn_blocking(move || {
                    let read = |(id, fingerprint, before): (Uuid, u64, Option<u64>)| {
                        let vector = index.vector(id)?.map(|numbers| Vector { book_id: id, fingerprint, numbers });
                        Ok::<_, SearchError>(vector.map(|vector| (vector, before)))
                    };
                    wanted.into_iter().filter_map(|wanted| read(wanted).transpose()).collect::<Result<Vec<_>, _>>()
                });
                let rows = read.await.map_err(|panic| SearchError::Engine(panic.to_string()))??;
                self.put(stored(&model), rows).await?;
            }
        }
        if !self.ready.is_empty() && self.search.0.embedded.swap(false, Ordering::AcqRel) {
            let noted = self.catalog.db.transact::<_, DbError, _>(|tx| Box::pin(vectors::set_incomplete(tx)));
            noted.await?;
        }
        Ok(())
    }

    /// Where the vectors stand. When they are of another model than when it was last looked at, somebody else wiped
    /// those that were there, and every book is looked at again.
    async fn standing(&mut self) -> Result<Option<Standing>, Failure> {
        let standing = vectors::standing(self.catalog.db.read()).await?;
        if let Some(standing) = &standing {
            let model = standing.model();
            if self.seen.replace(model.clone()).is_some_and(|seen| seen != model) {
                self.begin();
            }
        }
        Ok(standing)
    }

    /// The marks of these books' vectors, as far as they are of the model that answers now.
    async fn marks(&self, standing: Option<&Standing>, ids: Vec<Uuid>) -> Result<HashMap<Uuid, u64>, Failure> {
        let is_usable = |standing: &&Standing| self.model.as_ref().is_none_or(|model| standing.model().name == *model);
        if standing.filter(is_usable).is_none() {
            return Ok(HashMap::new());
        }
        let marks = vectors::marks_of(self.catalog.db.read(), &ids).await?;
        Ok(marks.into_iter().map(|mark| (mark.book_id, mark.fingerprint.cast_unsigned())).collect())
    }

    async fn embed(&mut self) -> Result<(), Failure> {
        // Somebody else may have made them a moment ago.
        let standing = self.standing().await?;
        let mut batch: Vec<Text> = self.ready.drain(..self.ready.len().min(BATCH)).collect();
        let marks = self.marks(standing.as_ref(), batch.iter().map(|text| text.id).collect()).await?;
        batch.retain(|text| marks.get(&text.id) != Some(&text.fingerprint));
        if batch.is_empty() {
            return Ok(());
        }
        let texts = batch.iter().map(|text| text.text.clone()).collect();
        match self.embedder.books(texts).await {
            Ok(vectors) => self.store(batch, vectors).await,
            Err(NoMeaning::Refused) if batch.len() > 1 => {
                // One of them is the culprit.
                let mut batch = batch.into_iter();
                while let Some(text) = batch.next() {
                    match self.embedder.books(vec![text.text.clone()]).await {
                        Ok(vectors) => self.store(vec![text], vectors).await?,
                        Err(NoMeaning::Refused) => self.refuse(&text),
                        Err(failing) => {
                            batch.rev().chain([text]).for_each(|text| self.ready.push_front(text));
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

    async fn store(&mut self, batch: Vec<Text>, vectors: Vec<Embedded>) -> Result<(), Failure> {
        let Some(first) = vectors.first() else { return Ok(()) };
        let dimensions = i64::try_from(first.vector.len()).unwrap_or(i64::MAX);
        let model = Model { name: first.model.clone(), dimensions };
        let row = |(text, embedded): (&Text, Embedded)| {
            let vector = Vector { book_id: text.id, fingerprint: text.fingerprint, numbers: embedded.vector };
            (vector, text.before)
        };
        let rows: Vec<_> = batch.iter().zip(vectors).map(row).collect();
        self.done += rows.len();
        let passed_by = self.put(model, rows).await?;
        if !passed_by.is_empty() {
            let ids: Vec<BookId> = passed_by.into_iter().map(BookId::from_uuid).collect();
            let rows = books::by_ids(self.catalog.db.read(), &ids).await?;
            self.sort(None, rows).await?;
        }
        if self.logged_at.elapsed() > Duration::from_secs(10) {
            self.logged_at = Instant::now();
            tracing::info!(books = self.done, per_second = self.rate(), "books get their vectors");
        }
        Ok(())
    }

    /// Puts vectors into the database. Returns the books that somebody else gave one meanwhile.
    async fn put(&mut self, model: Model, rows: Vec<(Vector, Option<u64>)>) -> Result<Vec<Uuid>, Failure> {
        let search = self.search.clone();
        let now = model.clone();
        let put = self.catalog.db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                let outcome = vectors::put(tx, &model, &rows).await?;
                tx.after_commit(move || search.0.vectors_changed.notify_one());
                Ok(outcome)
            })
        });
        let outcome = put.await?;
        let is_renamed = self.model.as_ref().is_some_and(|known| *known != now.name);
        if is_renamed || outcome.replaced {
            // All that were there are gone, or the model calls itself otherwise: every book is looked at again.
            self.model = self.model.take().map(|_| now.name.clone());
            self.begin();
        }
        self.seen = Some(now);
        Ok(outcome.passed_by)
    }

    async fn all_done(&mut self) -> Result<(), Failure> {
        if self.done > 0 {
            tracing::info!(books = self.done, per_second = self.rate(), "every book has its vector");
            self.done = 0;
            self.started = Instant::now();
        }
        let standing = self.standing().await?;
        if self.scan.is_none() {
            return Ok(());
        }
        match standing {
            Some(standing) if standing.complete => {}
            Some(standing) => {
                let search = self.search.clone();
                let noted = self.catalog.db.transact::<_, DbError, _>(move |tx| {
                    Box::pin(async move {
                        vectors::set_complete(tx, &standing).await?;
                        tx.after_commit(move || search.0.vectors_changed.notify_one());
                        Ok(())
                    })
                });
                noted.await?;
            }
            // There is no book, or none whose text is taken.
            None => self.search.0.embedded.store(true, Ordering::Release),
        }
        Ok(())
    }

    fn rate(&self) -> u64 {
        (self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }
}

/// The index's model as the database has it.
fn stored(model: &bookworm_search::VectorModel) -> Model {
    Model { name: model.name.clone(), dimensions: i64::try_from(model.dimensions).unwrap_or(i64::MAX) }
}
