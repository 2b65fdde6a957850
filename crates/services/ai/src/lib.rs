//! Vectors of meaning for texts: from a model in this process, or from an endpoint elsewhere. And texts by a language
//! model, from an endpoint that has one.
//!
//! Texts wait in one of two lines: those that somebody waits for, and those of the background. Each line is bounded, and
//! has workers of its own which take several texts at once, so a search never waits for a book that is being indexed. A
//! text whose caller gave up is passed over. Vectors of queries are remembered for a while.
//!
//! | to change | open |
//! |---|---|
//! | who makes the vectors | `provider/`, one file each |
//! | how texts wait, and how many at once | `lane.rs` |
//! | how a language model is asked to write | `provider/chat.rs`, `provider/sse.rs` |
//! | what callers are answered | `grpc.rs` |
//! | the local model itself: its arithmetic, its tokens, its file | `local/` |

mod grpc;
mod lane;
pub mod local;
pub mod provider;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bookworm_config::{Ai as Settings, AiProvider};
use bookworm_contracts::grpc::ai::{StatusResponse, ai_server::AiServer};
use moka::sync::Cache;

use crate::{
    lane::Lane,
    local::Model,
    provider::{ChatEndpoint, Endpoint, LocalModel, Provider, Purpose},
};

/// How many queries' vectors are remembered, and how long: 1.5 KB each for the local model.
const REMEMBERED: u64 = 2_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The local model is wanted and its files are not there.
    #[error("ai.model_dir: {0}; `scripts/model` fetches it, `ai.provider = \"off\"` does without")]
    NoModel(String),
    /// The settings for the endpoint cannot be used.
    #[error("ai.{0}")]
    Endpoint(String),
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct AiService(Arc<Inner>);

struct Inner {
    /// Who makes the vectors; else why nobody does.
    provider: Result<Arc<dyn Provider>, String>,
    queries: Option<Lane>,
    background: Option<Lane>,
    remembered: Cache<String, Arc<[f32]>>,
    /// Who writes, when anybody does.
    chat: Option<ChatEndpoint>,
}

impl AiService {
    /// The service's name.
    pub const NAME: &str = "ai";

    /// Starts what the settings choose. The local model is loaded in the background; until it is there, callers are told
    /// so. Must run within a tokio runtime.
    ///
    /// # Errors
    /// When a local model is asked for by name and is not there, or the endpoint's settings cannot be used. Without a
    /// model, `auto` starts: the service then tells its callers what is missing.
    pub fn open(settings: &Settings) -> Result<Self, StartError> {
        let chat = ChatEndpoint::new(settings).map_err(StartError::Endpoint)?;
        Ok(Self::open_vectors(settings)?.and_chat(chat))
    }

    /// The same service, with somebody who writes. Before it is shared.
    fn and_chat(self, chat: Option<ChatEndpoint>) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { chat, ..inner })),
            Err(shared) => Self(shared),
        }
    }

    fn open_vectors(settings: &Settings) -> Result<Self, StartError> {
        let folder = settings.model_dir.clone().or_else(default_model_dir);
        let there = || folder.as_deref().is_some_and(Model::is_in);
        let missing = || match &folder {
            Some(folder) => format!("there is no model in {}", folder.display()),
            None => "it is not set, and there is no cache folder to look in".to_owned(),
        };
        match settings.chosen(there) {
            AiProvider::Local => match folder.as_deref().filter(|folder| Model::is_in(folder)) {
                Some(folder) => {
                    let threads = match settings.threads as usize {
                        0 => std::thread::available_parallelism().map_or(1, usize::from),
                        threads => threads,
                    };
                    let model = LocalModel::start(folder, settings.max_tokens as usize, threads);
                    Ok(Self::with(Arc::new(model), settings.queue as usize))
                }
                None => Err(StartError::NoModel(missing())),
            },
            AiProvider::Openai => {
                let endpoint = Endpoint::new(settings).map_err(StartError::Endpoint)?;
                tracing::info!(model = endpoint.model(), "vectors of meaning come from an endpoint");
                Ok(Self::with(Arc::new(endpoint), settings.queue as usize))
            }
            AiProvider::Off => Ok(Self::without("switched off: ai.provider is off".to_owned())),
            AiProvider::Auto => {
                let why = format!("{}; `scripts/model` fetches one, or set ai.model_dir or ai.url", missing());
                tracing::warn!("search goes by words alone, not by meaning: {why}");
                Ok(Self::without(why))
            }
        }
    }

    /// A service with a provider of the caller's; `queue` texts may wait in each line. Must run within a tokio runtime.
    #[must_use]
    pub fn with(provider: Arc<dyn Provider>, queue: usize) -> Self {
        let lane = |purpose| Some(Lane::start(provider.clone(), purpose, queue));
        let (queries, background) = (lane(Purpose::Query), lane(Purpose::Background));
        Self::new(Ok(provider), queries, background)
    }

    /// A service that can only say why there are no vectors.
    #[must_use]
    pub fn without(why: String) -> Self {
        Self::new(Err(why), None, None)
    }

    fn new(provider: Result<Arc<dyn Provider>, String>, queries: Option<Lane>, background: Option<Lane>) -> Self {
        let remembered = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build();
        Self(Arc::new(Inner { provider, queries, background, remembered, chat: None }))
    }

    /// The gRPC server.
    #[must_use]
    pub fn grpc(&self) -> AiServer<Self> {
        AiServer::new(self.clone())
    }

    /// Which model answers, and whether it does.
    #[must_use]
    pub fn status(&self) -> StatusResponse {
        match &self.0.provider {
            Ok(provider) => {
                let problem = provider.problem();
                StatusResponse {
                    model: provider.model(),
                    dimensions: provider.dimensions().and_then(|count| count.try_into().ok()).unwrap_or(0),
                    ready: problem.is_none(),
                    problem: problem.unwrap_or_default(),
                }
            }
            Err(why) => StatusResponse { problem: why.clone(), ..StatusResponse::default() },
        }
    }
}

/// Where `scripts/model` puts the model: `bookworm/models/all-MiniLM-L6-v2` in `$XDG_CACHE_HOME`, or in `~/.cache`.
#[must_use]
pub fn default_model_dir() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join(Path::new("bookworm/models/all-MiniLM-L6-v2")))
}
