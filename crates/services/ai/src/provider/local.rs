use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Provider, ProviderError, Purpose};
use crate::local::{Model, Precision, Workspace};

/// How many texts are worked on together. Few are enough: the weights are read once for all, and what is won beyond is
/// little.
const BATCH: usize = 4;

type Loaded = Arc<OnceLock<Result<Model, String>>>;

struct Batch {
    texts: Vec<Arc<str>>,
    answer: oneshot::Sender<io::Result<Vec<Vec<f32>>>>,
}

/// A model in this process, with threads for queries and threads for the background.
///
/// Both kinds get as many threads as there are processors: on Linux those of the background run at a lower priority, so
/// that the processor is theirs only when neither a query nor anything else of the shop wants it.
pub struct LocalModel {
    loaded: Loaded,
    name: String,
    max_tokens: usize,
    threads: usize,
    queries: Sender<Batch>,
    background: Sender<Batch>,
}

impl LocalModel {
    /// Begins to load the model of a folder, and starts `threads` threads of each kind. They end when this is dropped.
    #[must_use]
    pub fn start(folder: &Path, max_tokens: usize, threads: usize) -> Self {
        let name = folder.file_name().map_or_else(|| "local".to_owned(), |name| name.to_string_lossy().into_owned());
        let loaded = Loaded::default();
        let (queries, waiting_queries) = channel();
        let (background, waiting_background) = channel();
        let (ready, folder) = (loaded.clone(), folder.to_owned());
        spawn("model", move || {
            load(&folder, max_tokens, &ready);
            for (name, waiting, purpose) in [
                ("model-query", waiting_queries, Purpose::Query),
                ("model-back", waiting_background, Purpose::Background),
            ] {
                let waiting = Arc::new(Mutex::new(waiting));
                for _ in 0..threads {
                    let (ready, waiting) = (ready.clone(), waiting.clone());
                    spawn(name, move || work(&ready, &waiting, purpose));
                }
            }
        });
        Self { loaded, name, max_tokens, threads, queries, background }
    }

    fn model(&self) -> Option<&Model> {
        self.loaded.get()?.as_ref().ok()
    }
}

#[async_trait]
impl Provider for LocalModel {
    fn model(&self) -> String {
        // Another file under the same name, or other cuts, make other vectors.
        match self.loaded.get() {
            Some(Ok(model)) => format!("{}/{}/{:08x}", self.name, self.max_tokens, model.fingerprint()),
            // There is one, though what it will be called in full is not known yet.
            None => self.name.clone(),
            Some(Err(_)) => String::new(),
        }
    }

    fn dimensions(&self) -> Option<usize> {
        self.model().map(Model::dimensions)
    }

    fn batch(&self, _purpose: Purpose) -> usize {
        BATCH
    }

    fn concurrency(&self, _purpose: Purpose) -> usize {
        self.threads
    }

    fn problem(&self) -> Option<String> {
        match self.loaded.get() {
            None => Some("the model is being loaded".to_owned()),
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why.clone()),
        }
    }

    async fn embed(&self, texts: &[Arc<str>], purpose: Purpose) -> Result<Vec<Vec<f32>>, ProviderError> {
        if let Some(problem) = self.problem() {
            return Err(ProviderError::Unavailable(problem));
        }
        let (answer, answered) = oneshot::channel();
        let batch = Batch { texts: texts.to_vec(), answer };
        let sent = match purpose {
            Purpose::Query => self.queries.send(batch),
            Purpose::Background => self.background.send(batch),
        };
        let ended = || ProviderError::Unavailable("the model's threads have ended".to_owned());
        sent.map_err(|_| ended())?;
        let unread = |error| ProviderError::Unavailable(format!("the model's file cannot be read: {error}"));
        answered.await.map_err(|_| ended())?.map_err(unread)
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(run) {
        tracing::error!(%error, name, "a thread for the model cannot be started");
    }
}

fn load(folder: &Path, max_tokens: usize, loaded: &Loaded) {
    let start = Instant::now();
    // Many books are a matter of hours, and the ranking of results is the same (docs/search.md).
    let model = Model::load(folder, max_tokens, Precision::Quick)
        .map_err(|error| format!("the model in {}: {error}", folder.display()));
    match &model {
        Ok(_) => tracing::info!(folder = %folder.display(), took = ?start.elapsed(), "model loaded"),
        Err(why) => tracing::error!("search goes by words alone, not by meaning: {why}"),
    }
    // Only this thread sets it, once.
    let _ = loaded.set(model);
}

/// Answers batches until nobody can send any more.
fn work(loaded: &Loaded, waiting: &Mutex<Receiver<Batch>>, purpose: Purpose) {
    let Some(Ok(model)) = loaded.get() else { return };
    if purpose == Purpose::Background {
        yield_to_others();
    }
    let mut workspace = Workspace::default();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Batch { texts, answer }) = next else { return };
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        // Nobody waits any more when the worker of the line was dropped.
        let _ = answer.send(model.embed(&texts, &mut workspace));
    }
}

/// Lets every other thread go first.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    /// About a tenth of the share of a thread of normal priority.
    const NICE: i32 = 10;
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the background runs at normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}
