//! Asking for vectors: while somebody waits, and in the background.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bookworm_config::Search as Settings;
use bookworm_contracts::grpc::{
    self, Edge,
    ai::{Purpose, StatusRequest, StatusResponse, ai_client::AiClient},
    vectors::{self, NoVectors, Vectors},
};
use bookworm_kernel::Cause;
use bookworm_resilience::{Deadline, State};
use moka::future::Cache;
use tonic::Code;

/// How many queries' vectors are cached: whoever turns the page asks for the same again.
const QUERIES: u64 = 2_000;
/// How long.
const CACHED_FOR: Duration = Duration::from_secs(600);

/// Why there is no vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMeaning {
    /// There is no model: nothing is missing that was ever there.
    Off,
    /// The model does not answer.
    Failing,
    /// It does not take these texts.
    Refused,
}

/// A text's vector and the name of its model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embedded {
    pub(crate) vector: Vec<f32>,
    pub(crate) model: String,
}

/// The ways to the `ai` role. Two, so that a long batch of books is no sign that queries fail.
#[derive(Clone, Debug)]
pub struct Models {
    /// For queries, while somebody waits.
    pub queries: Edge,
    /// For books, in the background.
    pub books: Edge,
}

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// Turns texts into vectors, by asking the `ai` role.
pub(crate) struct Embedder {
    models: Models,
    /// How long a search waits for its query's vector.
    query_timeout: Duration,
    known: Cache<String, Arc<Embedded>>,
    state: AtomicU8,
}

impl Embedder {
    pub(crate) fn new(models: Models, settings: &Settings) -> Self {
        Self {
            models,
            query_timeout: Duration::from_millis(settings.meaning_timeout_ms),
            known: Cache::builder().max_capacity(QUERIES).time_to_live(CACHED_FOR).build(),
            state: AtomicU8::new(UNKNOWN),
        }
    }

    /// The vector of a query, within the time that a search may wait.
    pub(crate) async fn query(&self, text: &str) -> Result<Arc<Embedded>, NoMeaning> {
        if self.is_off() {
            return Err(NoMeaning::Off);
        }
        if let Some(known) = self.known.get(text).await {
            return Ok(known);
        }
        let asked = self.embed(&self.models.queries, vec![text.to_owned()], Purpose::Query);
        let mut embedded = Deadline::after(self.query_timeout).scope(asked).await?;
        let embedded = Arc::new(embedded.pop().ok_or(NoMeaning::Failing)?);
        self.known.insert(text.to_owned(), embedded.clone()).await;
        Ok(embedded)
    }

    /// The vectors of books' texts, in their order.
    pub(crate) async fn books(&self, texts: Vec<String>) -> Result<Vec<Embedded>, NoMeaning> {
        self.embed(&self.models.books, texts, Purpose::Background).await
    }

    async fn embed(&self, way: &Edge, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, NoMeaning> {
        let answer = vectors::of_texts(way, &texts, purpose, &Cause::start()).await;
        let Vectors { model, vectors } = answer.map_err(|error| match error {
            NoVectors::Refused(status) if status.code() == Code::InvalidArgument => NoMeaning::Refused,
            NoVectors::Refused(_) if self.is_off() => NoMeaning::Off,
            NoVectors::Refused(_) => NoMeaning::Failing,
            NoVectors::Unusable(_) | NoVectors::Changed(..) => {
                tracing::warn!(%error, "no vectors");
                NoMeaning::Failing
            }
        })?;
        Ok(vectors.into_iter().map(|vector| Embedded { vector, model: model.clone() }).collect())
    }

    /// Asks how the models are, and remembers whether there is one.
    pub(crate) async fn status(&self) -> Option<StatusResponse> {
        let request = grpc::request(&Cause::start(), StatusRequest {});
        let status = AiClient::new(self.models.books.clone()).status(request).await.ok()?.into_inner();
        self.state.store(if status.model.is_empty() { OFF } else { ON }, Ordering::Release);
        Some(status)
    }

    /// Whether there is no model, as far as is known.
    pub(crate) fn is_off(&self) -> bool {
        self.state.load(Ordering::Acquire) == OFF
    }

    /// Whether queries or books are refused, because most of the last ones failed.
    pub(crate) fn is_failing(&self) -> bool {
        // Half open they pass, and stay so on a quiet day: nobody asks often enough to close them.
        self.models.queries.state() == State::Open || self.models.books.state() == State::Open
    }
}
