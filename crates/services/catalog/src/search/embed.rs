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
    self, Transport,
    ai::{EmbedRequest, Purpose, StatusRequest, StatusResponse, ai_client::AiClient},
};
use bookworm_kernel::Cause;
use bookworm_resilience::{BreakerPolicy, Failure, Fault, Guard, Policy, State};
use moka::future::Cache;
use tonic::{Code, Status};

/// How many queries' vectors are kept: whoever turns the page asks for the same again.
const QUERIES: u64 = 2_000;
/// How long.
const KEEP: Duration = Duration::from_secs(600);
/// How long a batch in the background may take.
const BACKGROUND: Duration = Duration::from_secs(30);
/// How long to wait for the status.
const STATUS: Duration = Duration::from_secs(2);

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

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// Turns texts into vectors, by asking the `ai` role.
pub(crate) struct Embedder {
    client: AiClient<Transport>,
    /// For queries: gives up early, and stops asking while most fail.
    queries: Guard,
    /// For books. Apart, so that a long batch is no sign that queries fail.
    books: Guard,
    known: Cache<String, Arc<Embedded>>,
    state: AtomicU8,
}

impl Embedder {
    pub(crate) fn new(client: AiClient<Transport>, settings: &Settings) -> Self {
        let patience = Duration::from_millis(settings.meaning_timeout_ms);
        let breaker = BreakerPolicy { open_at_most: Duration::from_secs(5), ..BreakerPolicy::default() };
        let queries = Policy {
            attempt: patience,
            total: patience,
            attempts: 1,
            concurrency: 256,
            breaker: breaker.clone(),
            ..Policy::default()
        };
        let books = Policy { attempt: BACKGROUND, total: BACKGROUND, breaker, ..Policy::default() };
        Self {
            client,
            queries: Guard::new("ai.query", queries),
            books: Guard::new("ai.books", books),
            known: Cache::builder().max_capacity(QUERIES).time_to_live(KEEP).build(),
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
        let mut embedded = self.embed(&self.queries, vec![text.to_owned()], Purpose::Query).await?;
        let embedded = Arc::new(embedded.pop().ok_or(NoMeaning::Failing)?);
        self.known.insert(text.to_owned(), embedded.clone()).await;
        Ok(embedded)
    }

    /// The vectors of books' texts, in their order.
    pub(crate) async fn books(&self, texts: Vec<String>) -> Result<Vec<Embedded>, NoMeaning> {
        self.embed(&self.books, texts, Purpose::Background).await
    }

    async fn embed(&self, guard: &Guard, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, NoMeaning> {
        let wanted = texts.len();
        let cause = Cause::start();
        let attempt = || {
            let mut client = self.client.clone();
            let request = EmbedRequest { texts: texts.clone(), purpose: purpose.into() };
            let request = grpc::request(&cause, request);
            async move {
                let answer = client.embed(request).await?.into_inner();
                let sound = answer.vectors.len() == wanted
                    && answer.vectors.iter().all(|vector| {
                        !vector.values.is_empty()
                            && vector.values.iter().all(|value| value.is_finite())
                            && vector.values.iter().any(|value| *value != 0.0)
                    });
                if sound { Ok(answer) } else { Err(Status::internal("the vectors cannot be used")) }
            }
        };
        let classify = |status: &Status| match status.code() {
            Code::InvalidArgument => Fault::Caller,
            _ => Fault::Transient { after: None },
        };
        let answer = guard.call(attempt, classify).await.map_err(|failure| {
            tracing::debug!(error = &failure as &dyn std::error::Error, "no vectors");
            match failure {
                Failure::Failed(status) if status.code() == Code::InvalidArgument => NoMeaning::Refused,
                _ if self.is_off() => NoMeaning::Off,
                _ => NoMeaning::Failing,
            }
        })?;
        let model = answer.model;
        Ok(answer.vectors.into_iter().map(|vector| Embedded { vector: vector.values, model: model.clone() }).collect())
    }

    /// Asks how the models are, and remembers whether there is one.
    pub(crate) async fn status(&self) -> Option<StatusResponse> {
        let mut client = self.client.clone();
        let request = grpc::request(&Cause::start(), StatusRequest {});
        let status = tokio::time::timeout(STATUS, client.status(request)).await.ok()?.ok()?.into_inner();
        self.state.store(if status.model.is_empty() { OFF } else { ON }, Ordering::Release);
        Some(status)
    }

    /// Whether there is no model, as far as is known.
    pub(crate) fn is_off(&self) -> bool {
        self.state.load(Ordering::Acquire) == OFF
    }

    /// Whether queries are refused or on trial, because most of the last ones failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.queries.state() != State::Closed || self.books.state() != State::Closed
    }
}
