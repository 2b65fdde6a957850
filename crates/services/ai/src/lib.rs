//! Vectors of meaning for texts, from a model in this process or from an endpoint elsewhere; and texts by a language model,
//! from an endpoint that has one.
//!
//! Texts wait in one of two queues: those that a request waits for, and those of the background. Each queue is bounded, and
//! has workers of its own which take several texts at once, so a search never waits for a book that is being indexed. A
//! text whose caller gave up is skipped. Vectors of queries are cached.
//!
//! | to change | open |
//! |---|---|
//! | where the vectors come from | `provider/`, one file each |
//! | how texts wait, and how many at once | `lane.rs` |
//! | which vectors are cached, and for how long | `service.rs`, `features/embed.rs` |
//! | how a language model is called | `provider/chat.rs`, `provider/sse.rs` |
//! | requests and answers on the wire | `grpc.rs` |
//! | the local model itself: its arithmetic, its tokens, its file | `local/` |

mod features;
mod grpc;
mod lane;
pub mod local;
pub mod provider;
mod service;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bookworm_config::Ai as Settings;
use bookworm_contracts::grpc::ai::{StatusResponse, ai_server::AiServer};

use crate::{
    provider::{ChatEndpoint, Provider},
    service::Ai,
};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The local model is asked for by name, and its files are not there.
    #[error("ai.model_dir: {0}; `scripts/model` fetches it, `ai.provider = \"off\"` does without")]
    NoModel(String),
    /// The settings for an endpoint cannot be used.
    #[error("ai.{0}")]
    Endpoint(String),
}

/// What the service needs.
pub struct Dependencies {
    /// Which models to use.
    pub settings: Settings,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct AiService(Arc<Ai>);

impl AiService {
    /// The service's name.
    pub const NAME: &str = "ai";

    /// Starts the models that the settings choose. The local model is loaded in the background; until it is there, calls
    /// are answered with that reason. Must run within a tokio runtime.
    ///
    /// # Errors
    /// When a local model is asked for by name and is not there, or an endpoint's settings cannot be used. Without a
    /// model, `auto` starts: calls are then answered with what is missing.
    pub fn open(dependencies: Dependencies) -> Result<Self, StartError> {
        let Dependencies { settings } = dependencies;
        let chat = ChatEndpoint::new(&settings).map_err(StartError::Endpoint)?;
        Ok(Self(Arc::new(Ai { chat, ..Ai::open(&settings)? })))
    }

    /// A service with this provider of vectors and no language model; `queue` texts may wait in each queue. Must run
    /// within a tokio runtime.
    #[must_use]
    pub fn with(provider: Arc<dyn Provider>, queue: usize) -> Self {
        Self(Arc::new(Ai::with(provider, queue)))
    }

    /// A service without a model, which answers calls with this reason.
    #[must_use]
    pub fn without(reason: String) -> Self {
        Self(Arc::new(Ai::without(reason)))
    }

    /// The gRPC server.
    #[must_use]
    pub fn grpc(&self) -> AiServer<grpc::Server> {
        AiServer::new(grpc::Server(self.0.clone()))
    }

    /// Which model answers, and whether it is ready.
    #[must_use]
    pub fn status(&self) -> StatusResponse {
        self.0.status()
    }
}

/// Where `scripts/model` puts the model: `bookworm/models/all-MiniLM-L6-v2` in `$XDG_CACHE_HOME`, or in `~/.cache`.
#[must_use]
pub fn default_model_dir() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join(Path::new("bookworm/models/all-MiniLM-L6-v2")))
}
