//! Asking the `ai` role for vectors.

use std::time::Duration;

use bookworm_contracts::grpc::{
    self, Transport,
    ai::{EmbedRequest, Purpose, StatusRequest, ai_client::AiClient},
};
use bookworm_kernel::Cause;
use bookworm_resilience::{BreakerPolicy, Fault, Guard, Policy};
use tonic::{Code, Status};

/// How many texts a call may hold.
const BATCH: usize = 64;
/// How long a message's vector may take: words alone answer after that.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a batch in the background may take.
const BACKGROUND: Duration = Duration::from_secs(60);
/// How long to wait for the status.
const STATUS: Duration = Duration::from_secs(2);

/// The vectors of several texts, and the name of their model.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Vectors of different models must not be compared.
    pub model: String,
    /// One for each text, in their order.
    pub vectors: Vec<Vec<f32>>,
}

/// Turns texts into vectors. Cheap to clone.
#[derive(Clone)]
pub struct Embedder {
    client: AiClient<Transport>,
    messages: std::sync::Arc<Guard>,
    background: std::sync::Arc<Guard>,
}

impl Embedder {
    /// Asks through this client.
    #[must_use]
    pub fn new(client: AiClient<Transport>) -> Self {
        let breaker = BreakerPolicy { open_at_most: Duration::from_secs(5), ..BreakerPolicy::default() };
        let messages = Policy {
            attempt: PATIENCE,
            total: PATIENCE,
            concurrency: 512,
            breaker: breaker.clone(),
            ..Policy::default()
        };
        let background = Policy { attempt: BACKGROUND, total: BACKGROUND, breaker, ..Policy::default() };
        Self {
            client,
            messages: Guard::new("chat.ai.message", messages).into(),
            background: Guard::new("chat.ai.background", background).into(),
        }
    }

    /// The vector of a message, while its writer waits; nothing when there is none in time.
    pub async fn message(&self, text: &str, cause: &Cause) -> Option<Embedded> {
        self.ask(&self.messages, vec![text.to_owned()], Purpose::Query, cause).await
    }

    /// The vectors of many texts, in the background; nothing unless all have one, of one model.
    pub async fn all(&self, texts: &[String]) -> Option<Embedded> {
        let cause = Cause::start();
        let mut all = Embedded { model: String::new(), vectors: Vec::with_capacity(texts.len()) };
        for batch in texts.chunks(BATCH) {
            let found = self.ask(&self.background, batch.to_vec(), Purpose::Background, &cause).await?;
            if !all.vectors.is_empty() && found.model != all.model {
                return None;
            }
            all.model = found.model;
            all.vectors.extend(found.vectors);
        }
        Some(all)
    }

    /// The name of the model that answers now.
    pub async fn model(&self) -> Option<String> {
        let mut client = self.client.clone();
        let request = grpc::request(&Cause::start(), StatusRequest {});
        let status = tokio::time::timeout(STATUS, client.status(request)).await.ok()?.ok()?.into_inner();
        Some(status.model).filter(|model| status.ready && !model.is_empty())
    }

    async fn ask(&self, guard: &Guard, texts: Vec<String>, purpose: Purpose, cause: &Cause) -> Option<Embedded> {
        let wanted = texts.len();
        let attempt = || {
            let mut client = self.client.clone();
            let request = grpc::request(cause, EmbedRequest { texts: texts.clone(), purpose: purpose.into() });
            async move {
                let answer = client.embed(request).await?.into_inner();
                let sound = answer.vectors.len() == wanted
                    && answer
                        .vectors
                        .iter()
                        .all(|vector| !vector.values.is_empty() && vector.values.iter().all(|value| value.is_finite()));
                if sound { Ok(answer) } else { Err(Status::internal("the vectors cannot be used")) }
            }
        };
        let fault = |status: &Status| match status.code() {
            Code::InvalidArgument => Fault::Caller,
            _ => Fault::Transient { after: None },
        };
        let answer = guard.call(attempt, fault).await;
        let answer = answer.inspect_err(|failure| tracing::debug!(%failure, "no vectors for the chat")).ok()?;
        let vectors = answer.vectors.into_iter().map(|vector| vector.values).collect();
        Some(Embedded { model: answer.model, vectors })
    }
}
