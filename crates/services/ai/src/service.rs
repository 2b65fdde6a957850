//! The models of this process, and the queues in front of them.

use std::{sync::Arc, time::Duration};

use bookworm_config::{Ai as Settings, AiProvider};
use moka::sync::Cache;

use crate::{
    StartError, default_model_dir,
    lane::Lane,
    local::Model,
    provider::{ChatEndpoint, Endpoint, LocalModel, Provider, Purpose},
};

/// The most vectors of queries that are cached, and how long: 1.5 KB each for the local model.
const MAX_CACHED: u64 = 2_000;
const CACHE_TTL: Duration = Duration::from_secs(3600);

/// The models of this process.
pub(crate) struct Ai {
    /// The provider of vectors, with its queues; else the reason why there is none.
    pub vectors: Result<Vectors, String>,
    /// The language model, if there is one.
    pub chat: Option<ChatEndpoint>,
}

/// A provider of vectors and its queues.
pub(crate) struct Vectors {
    pub provider: Arc<dyn Provider>,
    pub queries: Lane,
    pub background: Lane,
    /// Vectors of queries.
    pub cached: Cache<String, Arc<[f32]>>,
}

impl Ai {
    /// Starts the provider of vectors that the settings choose.
    pub fn open(settings: &Settings) -> Result<Self, StartError> {
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
                let reason = format!("{}; `scripts/model` fetches one, or set ai.model_dir or ai.url", missing());
                tracing::warn!("search goes by words alone, not by meaning: {reason}");
                Ok(Self::without(reason))
            }
        }
    }

    /// One with this provider of vectors; `queue` texts may wait in each queue.
    pub fn with(provider: Arc<dyn Provider>, queue: usize) -> Self {
        let lane = |purpose| Lane::start(provider.clone(), purpose, queue);
        let (queries, background) = (lane(Purpose::Query), lane(Purpose::Background));
        let cached = Cache::builder().max_capacity(MAX_CACHED).time_to_live(CACHE_TTL).build();
        Self { vectors: Ok(Vectors { provider, queries, background, cached }), chat: None }
    }

    /// One without vectors, for this reason.
    pub fn without(reason: String) -> Self {
        Self { vectors: Err(reason), chat: None }
    }
}
