//! The index takes the vectors over that are in the database, whoever made them.
//!
//! First of all books: those whose vector here is of another text, or missing, are read. Then what is put follows by its
//! number. The index's folder remembers no number: comparing marks of all books takes a moment, and is right after any
//! crash, and after the database came back from a backup.

use std::{
    sync::Arc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bookworm_db::DbError;
use bookworm_search::{Index, SearchError, VectorModel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Search, follow};
use crate::{
    service::Catalog,
    store::vectors::{self, Mark, Standing},
};

/// How often to look without having been woken: finds what other processes made.
const POLL: Duration = Duration::from_secs(1);
/// Marks that are read together.
const PAGE: i64 = 2_000;
/// Vectors that are in memory at once, beside the index: 400 KB of 384 numbers each.
const AT_ONCE: usize = 256;
/// Those who cache answers learn that more books are found by meaning when nothing has come for so long,
const QUIET: Duration = Duration::from_secs(2);
/// or, while vectors come one after the other, so often.
const PUBLISH_EVERY: Duration = Duration::from_secs(60);
/// The longest pause before another attempt.
const MAX_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Index(#[from] SearchError),
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Takes vectors over until `shutdown`.
pub(crate) async fn run(catalog: Arc<Catalog>, shutdown: CancellationToken) {
    let search = catalog.search.clone();
    let mut taker = Taker { catalog: &catalog, search: &search, opened: 0, at: None, unpublished: None };
    let (mut pause, mut said) = (Duration::from_millis(200), None);
    loop {
        let wait = match taker.step().await {
            Ok(()) => {
                pause = Duration::from_millis(200);
                search.clear_error(said.take());
                POLL
            }
            Err(failure) => {
                if said.is_none() {
                    tracing::warn!(error = &failure as &dyn std::error::Error, "vectors are not taken over");
                }
                said = Some(failure.to_string());
                search.set_error(said.clone());
                // What the index has now is not known.
                taker.at = None;
                pause = (pause * 2).min(MAX_PAUSE);
                pause
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = search.0.vectors_changed.notified(), if wait == POLL => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Taker<'a> {
    catalog: &'a Arc<Catalog>,
    search: &'a Search,
    /// The opening of the index that is worked on.
    opened: u64,
    /// The last change that the index has; `None` until the marks of all books were compared.
    at: Option<i64>,
    /// Since when vectors were taken over that nobody was told of, and when the last one was.
    unpublished: Option<(Instant, Instant)>,
}

impl Taker<'_> {
    /// Takes over everything that is there.
    async fn step(&mut self) -> Result<(), Failure> {
        let Some(index) = self.search.index() else { return Ok(()) };
        if self.opened != self.search.opened() {
            self.opened = self.search.opened();
            self.at = None;
        }
        match vectors::standing(self.catalog.db.read()).await? {
            Some(standing) => self.take(&index, &standing).await?,
            None => {
                self.at = None;
                self.done(None);
            }
        }
        self.publish().await
    }

    async fn take(&mut self, index: &Index, standing: &Standing) -> Result<(), Failure> {
        self.use_model(index, standing).await?;
        let followed = self.at.filter(|at| *at <= standing.seq);
        let taken = match followed {
            Some(at) if at == standing.seq => 0,
            Some(at) => self.follow(index, standing, at).await?,
            None => self.compare(index, standing).await?,
        };
        self.at = Some(standing.seq);
        if taken > 0 {
            metrics::counter!("search_vectors_taken_total").increment(taken as u64);
            let now = Instant::now();
            self.unpublished = Some((self.unpublished.map_or(now, |(since, _)| since), now));
        }
        self.done(Some(standing.complete));
        Ok(())
    }

    /// Compares all books.
    async fn compare(&self, index: &Index, standing: &Standing) -> Result<usize, Failure> {
        let (mut after, mut taken, started) = (Uuid::nil(), 0, Instant::now());
        loop {
            let marks = vectors::marks(self.catalog.db.read(), after, PAGE).await?;
            let Some(last) = marks.last() else { break };
            after = last.book_id;
            taken += self.put(index, standing, &marks).await?;
        }
        if taken > 0 {
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(books = taken, milliseconds, "vectors were taken over from the database");
        }
        Ok(taken)
    }

    /// Takes over what was put after `at`.
    async fn follow(&self, index: &Index, standing: &Standing, mut at: i64) -> Result<usize, Failure> {
        let mut taken = 0;
        while at < standing.seq {
            let put = vectors::after(self.catalog.db.read(), at, PAGE).await?;
            let Some(last) = put.last() else { break };
            at = last.seq;
            let marks: Vec<Mark> = put.iter().map(|put| put.mark).collect();
            taken += self.put(index, standing, &marks).await?;
        }
        Ok(taken)
    }

    /// Puts the vectors of these marks into the index, as far as it has them not. Returns how many.
    async fn put(&self, index: &Index, standing: &Standing, marks: &[Mark]) -> Result<usize, Failure> {
        let is_here = |mark: &Mark| index.fingerprint(mark.book_id) == Some(mark.fingerprint.cast_unsigned());
        let missing: Vec<Uuid> = marks.iter().filter(|mark| !is_here(mark)).map(|mark| mark.book_id).collect();
        for books in missing.chunks(AT_ONCE) {
            let found = vectors::read(self.catalog.db.read(), &standing.model(), books).await?;
            let rows: Vec<_> =
                found.into_iter().map(|found| (found.book_id, found.fingerprint, found.numbers)).collect();
            if !rows.is_empty() {
                let index = index.clone();
                blocking(move || index.put_vectors(&rows)).await?;
            }
        }
        Ok(missing.len())
    }

    async fn use_model(&mut self, index: &Index, standing: &Standing) -> Result<(), Failure> {
        let model = standing.model();
        let model = VectorModel { name: model.name, dimensions: usize::try_from(model.dimensions).unwrap_or_default() };
        if index.model().as_ref() == Some(&model) {
            return Ok(());
        }
        self.at = None;
        self.search.0.embedded.store(false, Ordering::Release);
        let index = index.clone();
        blocking(move || index.use_model(&model)).await?;
        tracing::info!("books get vectors of a model that is new to the index");
        Ok(())
    }

    /// `complete` says whether every book has its vector, where there are any.
    fn done(&self, complete: Option<bool>) {
        // An index that was opened meanwhile has not been looked at.
        if self.opened == self.search.opened() {
            self.search.0.taken.store(true, Ordering::Release);
            if let Some(complete) = complete {
                self.search.0.embedded.store(complete, Ordering::Release);
            }
        }
    }

    /// Tells those who cache answers.
    async fn publish(&mut self) -> Result<(), Failure> {
        let Some((since, last)) = self.unpublished else { return Ok(()) };
        if last.elapsed() >= QUIET || since.elapsed() >= PUBLISH_EVERY {
            follow::publish_updated(self.catalog, Vec::new()).await?;
            self.unpublished = None;
        }
        Ok(())
    }
}

async fn blocking<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, SearchError> + Send + 'static,
{
    Ok(tokio::task::spawn_blocking(work).await.map_err(|panic| SearchError::Engine(panic.to_string()))??)
}
