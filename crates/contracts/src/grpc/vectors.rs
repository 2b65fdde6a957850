//! Vectors of many texts at once, asked of the `ai` role in the background.

use bookworm_kernel::Cause;
use tonic::{Code, Status};

use super::{
    Edge,
    ai::{EmbedRequest, EmbedResponse, Purpose, ai_client::AiClient},
};

/// The most texts of one call.
const BATCH: usize = 64;

/// The vectors of several texts, and the name of their model.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// Vectors of different models must not be compared.
    pub model: String,
    /// One for each text, in their order, each of length 1 (L2 norm).
    pub vectors: Vec<Vec<f32>>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum NoVectors {
    /// The role does not answer, has no model, or refuses the texts.
    #[error("the model does not answer: {}", .0.message())]
    Refused(#[from] Status),
    /// What it sent is not a vector for each text.
    #[error("the vectors of the model {0} cannot be used")]
    Unusable(String),
    /// Its model was exchanged between two calls.
    #[error("the model changed from {0} to {1}")]
    Changed(String, String),
}

impl NoVectors {
    /// Whether it is the texts that the model does not take: others it may take.
    #[must_use]
    pub fn is_about_texts(&self) -> bool {
        match self {
            Self::Refused(status) => status.code() == Code::InvalidArgument,
            Self::Unusable(_) => true,
            Self::Changed(..) => false,
        }
    }
}

/// The vectors of texts, in as many calls as it takes.
///
/// # Errors
/// When any of them has none, or they are of different models.
pub async fn of_texts(edge: &Edge, texts: &[String], purpose: Purpose, cause: &Cause) -> Result<Vectors, NoVectors> {
    let mut all = Vectors { model: String::new(), vectors: Vec::with_capacity(texts.len()) };
    for batch in texts.chunks(BATCH) {
        let request = super::request(cause, EmbedRequest { texts: batch.to_vec(), purpose: purpose.into() });
        let EmbedResponse { vectors, model } = AiClient::new(edge.clone()).embed(request).await?.into_inner();
        let usable =
            |values: &[f32]| values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != 0.0);
        if vectors.len() != batch.len() || !vectors.iter().all(|vector| usable(&vector.values)) {
            return Err(NoVectors::Unusable(model));
        }
        if !all.vectors.is_empty() && model != all.model {
            return Err(NoVectors::Changed(all.model, model));
        }
        all.model = model;
        all.vectors.extend(vectors.into_iter().map(|vector| vector.values));
    }
    Ok(all)
}
