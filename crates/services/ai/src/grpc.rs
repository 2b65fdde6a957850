//! The service on the wire: bounds of requests, and errors as statuses.

use std::sync::Arc;

use bookworm_contracts::grpc::ai::{
    CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, Purpose as WirePurpose, StatusRequest, StatusResponse,
    Vector, ai_server,
};
use futures::stream::{BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use crate::{features::NoText, lane::NoVector, provider::Purpose, service::Ai};

/// The most texts of a call.
const MAX_TEXTS: usize = 64;
/// The most characters of a text.
const MAX_CHARACTERS: usize = 20_000;

/// The gRPC server.
pub struct Server(pub(crate) Arc<Ai>);

#[tonic::async_trait]
impl ai_server::Ai for Server {
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let EmbedRequest { texts, purpose } = request.into_inner();
        if texts.is_empty() || texts.len() > MAX_TEXTS {
            return Err(Status::invalid_argument(format!("1 to {MAX_TEXTS} texts, not {}", texts.len())));
        }
        if let Some(at) = texts.iter().position(|text| text.chars().nth(MAX_CHARACTERS).is_some()) {
            return Err(Status::invalid_argument(format!("text {at} has more than {MAX_CHARACTERS} characters")));
        }
        // A purpose that this version does not know can wait.
        let purpose = match WirePurpose::try_from(purpose) {
            Ok(WirePurpose::Query) => Purpose::Query,
            Ok(WirePurpose::Background) | Err(_) => Purpose::Background,
        };
        let (vectors, model) = self.0.embed(texts, purpose).await?;
        let vectors = vectors.into_iter().map(|vector| Vector { values: vector.to_vec() }).collect();
        Ok(Response::new(EmbedResponse { vectors, model }))
    }

    type CompleteStream = BoxStream<'static, Result<CompleteChunk, Status>>;

    async fn complete(&self, request: Request<CompleteRequest>) -> Result<Response<Self::CompleteStream>, Status> {
        let CompleteRequest { system, prompt, max_tokens } = request.into_inner();
        if prompt.trim().is_empty() || system.chars().chain(prompt.chars()).nth(MAX_CHARACTERS).is_some() {
            return Err(Status::invalid_argument(format!("a prompt of 1 to {MAX_CHARACTERS} characters")));
        }
        let text = self.0.complete(&system, &prompt, max_tokens).await?;
        let chunks = text.map(|piece| match piece {
            Ok(text) => Ok(CompleteChunk { text }),
            Err(error) => Err(NoText::Chat(error).into()),
        });
        Ok(Response::new(chunks.boxed()))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.0.status()))
    }
}

impl From<NoText> for Status {
    fn from(error: NoText) -> Self {
        if let NoText::Chat(error) = &error {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the language model wrote nothing that can be used"
            );
        }
        Self::unavailable(error.to_string())
    }
}

impl From<NoVector> for Status {
    fn from(error: NoVector) -> Self {
        let message = error.to_string();
        match error {
            NoVector::Full => Self::resource_exhausted(message),
            NoVector::Rejected(_) => Self::invalid_argument(message),
            NoVector::Unavailable(_) => Self::unavailable(message),
        }
    }
}
