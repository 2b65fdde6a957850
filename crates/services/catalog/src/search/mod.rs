//! The search: an index that follows the database, and the meaning of texts.
//!
//! | to change | open |
//! |---|---|
//! | what the index knows of a book | `schema.rs` |
//! | how a query becomes a request, and every weight | `plan.rs` |
//! | how a query is read, in what order | `reading.rs` |
//! | which author, title or volume a query names | `recognise.rs` |
//! | books like another one | `like.rs` |
//! | what is meant by a query that finds nothing | `meant.rs` |
//! | how changes reach the index | `follow.rs` |
//! | how books get their vectors | `meaning.rs` |
//! | how every instance takes them over | `take.rs` |
//! | how the models are asked | `embed.rs` |
//!
//! The index is derived: it can be deleted at any time and is made again from the database. While it is not there, or
//! not whole, the database's simple match answers, and says that it did.

mod embed;
pub(crate) mod follow;
pub(crate) mod like;
pub(crate) mod meaning;
pub(crate) mod meant;
pub(crate) mod plan;
pub(crate) mod reading;
mod recognise;
mod schema;
mod synonyms;
pub(crate) mod take;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread::available_parallelism,
};

use bookworm_config::Search as Settings;
use bookworm_search::{Index, SearchError, Synonym};
use bookworm_trace::{KeyValue, Kind, Span};
use tokio::sync::{Notify, Semaphore};

pub use self::embed::Models;
use self::synonyms::Synonyms;
pub(crate) use self::{
    embed::{Embedder, NoMeaning},
    schema::{AUTHOR, SUBJECT, TITLE},
};

/// What a catalogue needs to search.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// The index's own folder; made when it is missing.
    pub folder: PathBuf,
    /// Whoever turns texts into vectors; `None`: texts are searched by their words alone.
    pub ai: Option<Models>,
    /// The settings.
    pub settings: Settings,
}

/// The index cannot answer: ask the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoIndex;

/// The search of one catalogue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Search(Arc<Inner>);

struct Inner {
    folder: Option<PathBuf>,
    settings: Settings,
    embedder: Option<Embedder>,
    index: RwLock<Option<Index>>,
    /// Whether every book on sale was in the index once: until then it finds only a part.
    whole: AtomicBool,
    /// Whether the index failed, so that it must be opened anew.
    broken: AtomicBool,
    /// Counts openings.
    opened: AtomicU64,
    /// Wakes who follows the feed.
    changed: Notify,
    /// Wakes who makes vectors.
    unembedded: Notify,
    /// Wakes who takes them over.
    vectors_changed: Notify,
    /// Whether the vectors that are in the database were taken over since the index was opened.
    taken: AtomicBool,
    /// Whether every book has its vector.
    embedded: AtomicBool,
    synonyms: RwLock<Arc<Synonyms>>,
    synonyms_version: AtomicI64,
    last_error: Mutex<Option<String>>,
    /// Searches at once: they take a processor each, and a thread.
    running: Arc<Semaphore>,
}

impl Search {
    /// A search that knows nothing: the database answers.
    pub(crate) fn off() -> Self {
        Self::make(None, Settings::default(), None)
    }

    /// A search over an index in a folder, once [`follow::run`] has opened it.
    pub(crate) fn new(options: SearchOptions) -> Self {
        let embedder = options.ai.map(|ai| Embedder::new(ai, &options.settings));
        Self::make(Some(options.folder), options.settings, embedder)
    }

    fn make(folder: Option<PathBuf>, settings: Settings, embedder: Option<Embedder>) -> Self {
        let threads = available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Inner {
            folder,
            settings,
            embedder,
            index: RwLock::default(),
            whole: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            changed: Notify::new(),
            unembedded: Notify::new(),
            vectors_changed: Notify::new(),
            taken: AtomicBool::new(false),
            embedded: AtomicBool::new(false),
            synonyms: RwLock::default(),
            synonyms_version: AtomicI64::new(0),
            last_error: Mutex::default(),
            running: Arc::new(Semaphore::new((2 * threads).max(4))),
        }))
    }

    /// Wakes who follows the feed. Call it when a change is durable.
    pub(crate) fn wake(&self) {
        self.0.changed.notify_one();
    }

    /// Where the index is stored.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.0.folder.as_deref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Who turns texts into vectors.
    pub(crate) fn embedder(&self) -> Option<&Embedder> {
        self.0.embedder.as_ref()
    }

    /// The index, while it is open.
    pub(crate) fn index(&self) -> Option<Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_index(&self, index: Option<Index>) {
        if index.is_some() {
            self.0.opened.fetch_add(1, Ordering::AcqRel);
            self.0.broken.store(false, Ordering::Release);
        } else {
            self.0.whole.store(false, Ordering::Release);
        }
        self.0.taken.store(false, Ordering::Release);
        self.0.embedded.store(false, Ordering::Release);
        *self.0.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// Counts openings: another number, another index.
    fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Acquire)
    }

    /// Whether every book on sale is found, give or take the last second.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.whole.load(Ordering::Acquire)
    }

    /// Whether every book has its vector.
    pub(crate) fn is_embedded(&self) -> bool {
        self.0.embedded.load(Ordering::Acquire)
    }

    /// How this instance stands to search: `ok` once its index has every book, and the vectors that were made so far.
    /// Others that can do better are asked instead.
    pub(crate) fn standing(&self) -> &'static str {
        match (self.0.folder.is_some(), self.is_whole(), self.0.taken.load(Ordering::Acquire)) {
            (false, ..) => "without an index: the database answers",
            (true, false, _) => "the index is not whole: the database answers",
            (true, true, false) => "vectors are being taken over: words alone answer for some books",
            (true, true, true) => "ok",
        }
    }

    /// What went wrong last.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_error(&self, error: Option<String>) {
        *self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Takes back what somebody said went wrong; what another said since stays.
    fn clear_error(&self, said: Option<String>) {
        let mut last = self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some() && *last == said {
            *last = None;
        }
    }

    /// Uses these synonyms from now on, unless newer ones are known.
    pub(crate) fn set_synonyms(&self, groups: &[Vec<String>], version: i64) {
        if self.0.synonyms_version.fetch_max(version, Ordering::AcqRel) <= version {
            *self.0.synonyms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Synonyms::new(groups));
        }
    }

    fn synonyms_version(&self) -> i64 {
        self.0.synonyms_version.load(Ordering::Acquire)
    }

    /// What may stand for words of a query.
    pub(crate) fn synonyms(&self, words: &[String]) -> Vec<Synonym> {
        self.0.synonyms.read().unwrap_or_else(PoisonError::into_inner).of(words)
    }

    /// Asks the index, where blocking is allowed.
    ///
    /// # Errors
    /// [`NoIndex`] when it is not open or fails; then it will be opened anew.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Result<T, NoIndex>
    where
        T: Send + 'static,
        F: FnOnce(&Index) -> Result<T, SearchError> + Send + 'static,
    {
        let index = self.index().ok_or(NoIndex)?;
        // Never closed.
        let permit = self.0.running.clone().acquire_owned().await.map_err(|_| NoIndex)?;
        let step = Span::within(Kind::Client, || {
            ("search index".into(), vec![KeyValue::new("db.system.name", "bookworm.index")])
        });
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&index);
            drop((permit, step));
            answer
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the search index fails; the database answers"
                );
                self.failed(&error);
                Err(NoIndex)
            }
            Err(panic) => {
                tracing::error!(%panic, "the search index failed; the database answers");
                self.set_error(Some("The search index failed; it is opened anew.".to_owned()));
                self.0.broken.store(true, Ordering::Release);
                self.wake();
                Err(NoIndex)
            }
        }
    }

    fn failed(&self, error: &SearchError) {
        self.set_error(Some(error.to_string()));
        if matches!(error, SearchError::Io(_) | SearchError::Engine(_)) {
            self.0.broken.store(true, Ordering::Release);
            self.wake();
        }
    }

    fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Acquire)
    }
}
