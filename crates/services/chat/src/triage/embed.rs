//! The client of the `ai` role for vectors.

use std::time::Duration;

use bookworm_contracts::grpc::{
    self, Edge,
    ai::{EmbedRequest, EmbedResponse, Purpose, StatusRequest, ai_client::AiClient},
};
use bookworm_kernel::Cause;
use bookworm_resilience::Deadline;

/// The most texts of a call.
const BATCH: usize = 64;
/// The timeout of a message's vector: after that, words alone decide.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(200);

/// The vectors of several texts, and the name of their model.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Vectors of different models must not be compared.
    pub model: String,
    /// One for each text, in their order.
    pub vectors: Vec<Vec<f32>>,
}

/// Edges to the `ai` role. Two, so that a slow batch in the background does not open the breaker for messages.
#[derive(Debug, Clone)]
pub struct Models {
    /// For messages, while their writer waits.
    pub messages: Edge,
    /// For examples and policies, in the background.
    pub background: Edge,
}

/// Turns texts into vectors. Cheap to clone.
#[derive(Clone)]
pub struct Embedder {
    models: Models,
}

impl Embedder {
    /// One that calls these.
    #[must_use]
    pub fn new(models: Models) -> Self {
        Self { models }
    }

    /// The vector of a message, while its writer waits; nothing when there is none in time.
    pub async fn message(&self, text: &str, cause: &Cause) -> Option<Embedded> {
        let asked = self.ask(&self.models.messages, vec![text.to_owned()], Purpose::Query, cause);
        Deadline::after(MESSAGE_TIMEOUT).scope(asked).await
    }

    /// The vectors of many texts, in the background; nothing unless all have one, of one model.
    pub async fn all(&self, texts: &[String]) -> Option<Embedded> {
        let cause = Cause::start();
        let mut all = Embedded { model: String::new(), vectors: Vec::with_capacity(texts.len()) };
        for batch in texts.chunks(BATCH) {
            let embedded = self.ask(&self.models.background, batch.to_vec(), Purpose::Background, &cause).await?;
            if !all.vectors.is_empty() && embedded.model != all.model {
                return None;
            }
            all.model = embedded.model;
            all.vectors.extend(embedded.vectors);
        }
        Some(all)
    }

    /// The name of the model that answers now.
    pub async fn model(&self) -> Option<String> {
        let request = grpc::request(&Cause::start(), StatusRequest {});
        let status = AiClient::new(self.models.background.clone()).status(request).await.ok()?.into_inner();
        Some(status.model).filter(|model| status.ready && !model.is_empty())
    }

    async fn ask(&self, edge: &Edge, texts: Vec<String>, purpose: Purpose, cause: &Cause) -> Option<Embedded> {
        let wanted = texts.len();
        let request = grpc::request(cause, EmbedRequest { texts, purpose: purpose.into() });
        let EmbedResponse { vectors, model } = AiClient::new(edge.clone()).embed(request).await.ok()?.into_inner();
        let vectors: Vec<Vec<f32>> = vectors.into_iter().map(|vector| vector.values).collect();
        let sound = vectors.len() == wanted
            && vectors.iter().all(|values| !values.is_empty() && values.iter().all(|value| value.is_finite()));
        if !sound {
            tracing::warn!(model, "the model's vectors cannot be used");
        }
        sound.then_some(Embedded { model, vectors })
    }
}
