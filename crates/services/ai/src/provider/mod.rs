//! Providers of vectors, and of texts.

mod chat;
mod endpoint;
mod local;
mod sse;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::{
    chat::{ChatEndpoint, ChatError, Text},
    endpoint::Endpoint,
    local::LocalModel,
};

/// What a vector is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A request waits for it.
    Query,
    /// Work in the background.
    Background,
}

impl Purpose {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Background => "background",
        }
    }
}

/// Why a provider made no vectors. The message is for staff and never contains a key or the texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It cannot take one of the texts, and never will.
    #[error("{0}")]
    Rejected(String),
    /// It does not answer, or not yet.
    #[error("{0}")]
    Unavailable(String),
}

/// Makes vectors.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Names the model: vectors of models of different names are not compared. Empty until it is known.
    fn model(&self) -> String;

    /// Numbers in a vector, once known.
    fn dimensions(&self) -> Option<usize>;

    /// The best number of texts at once.
    fn batch(&self, purpose: Purpose) -> usize;

    /// The best number of batches at once.
    fn concurrency(&self, purpose: Purpose) -> usize;

    /// Why it cannot answer now; `None` when it can.
    fn problem(&self) -> Option<String>;

    /// One vector for each text, in their order. Callers check counts, sizes and numbers.
    ///
    /// # Errors
    /// For all texts together.
    async fn embed(&self, texts: &[Arc<str>], purpose: Purpose) -> Result<Vec<Vec<f32>>, ProviderError>;
}
