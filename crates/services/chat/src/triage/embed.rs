//! The client of the `ai` role for vectors.

use std::time::Duration;

use bookworm_contracts::grpc::{
    self, Edge,
    ai::{Purpose, StatusRequest, ai_client::AiClient},
    vectors::{self, NoVectors, Vectors},
};
use bookworm_kernel::Cause;
use bookworm_resilience::Deadline;

/// The timeout of a message's vector: after that, words alone decide.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(200);

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
    pub async fn message(&self, text: &str, cause: &Cause) -> Option<Vectors> {
        let texts = [text.to_owned()];
        let asked = ask(&self.models.messages, &texts, Purpose::Query, cause);
        Deadline::after(MESSAGE_TIMEOUT).scope(asked).await
    }

    /// The vectors of many texts, in the background; nothing unless all have one, of one model.
    pub async fn all(&self, texts: &[String]) -> Option<Vectors> {
        ask(&self.models.background, texts, Purpose::Background, &Cause::start()).await
    }

    /// The name of the model that answers now.
    pub async fn model(&self) -> Option<String> {
        let request = grpc::request(&Cause::start(), StatusRequest {});
        let status = AiClient::new(self.models.background.clone()).status(request).await.ok()?.into_inner();
        Some(status.model).filter(|model| status.ready && !model.is_empty())
    }
}

async fn ask(edge: &Edge, texts: &[String], purpose: Purpose, cause: &Cause) -> Option<Vectors> {
    match vectors::of_texts(edge, texts, purpose, cause).await {
        Ok(vectors) => Some(vectors),
        Err(NoVectors::Refused(_)) => None,
        Err(error) => {
            tracing::warn!(%error, "words alone decide");
            None
        }
    }
}
