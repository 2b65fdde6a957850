use std::{collections::HashMap, sync::Arc};

use bookworm_contracts::grpc::ai::{
    CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, Purpose as Asked, StatusRequest, StatusResponse,
    Vector, ai_server::Ai,
};
use futures::stream::{BoxStream, StreamExt};
use tonic::{Request, Response, Status};

use crate::{
    AiService,
    lane::{Lane, NoVector},
    provider::{ChatError, Purpose},
};

/// The most texts of a call.
const MAX_TEXTS: usize = 64;
/// The most characters of a text.
const MAX_CHARACTERS: usize = 20_000;

#[tonic::async_trait]
impl Ai for AiService {
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let EmbedRequest { texts, purpose } = request.into_inner();
        if texts.is_empty() || texts.len() > MAX_TEXTS {
            return Err(Status::invalid_argument(format!("1 to {MAX_TEXTS} texts, not {}", texts.len())));
        }
        if let Some(at) = texts.iter().position(|text| text.chars().nth(MAX_CHARACTERS).is_some()) {
            return Err(Status::invalid_argument(format!("text {at} has more than {MAX_CHARACTERS} characters")));
        }
        // A purpose that this version does not know can wait.
        let purpose = match Asked::try_from(purpose) {
            Ok(Asked::Query) => Purpose::Query,
            Ok(Asked::Background) | Err(_) => Purpose::Background,
        };
        let inner = &self.0;
        let (provider, lane) = match (&inner.provider, purpose) {
            (Ok(provider), Purpose::Query) => (provider, &inner.queries),
            (Ok(provider), Purpose::Background) => (provider, &inner.background),
            (Err(why), _) => return Err(Status::unavailable(why.clone())),
        };
        let lane = lane.as_ref().ok_or_else(|| Status::unavailable("no model"))?;
        let vectors = match purpose {
            Purpose::Query => self.remembered(lane, texts).await?,
            Purpose::Background => lane.embed(texts).await?,
        };
        let vectors = vectors.into_iter().map(|vector| Vector { values: vector.to_vec() }).collect();
        Ok(Response::new(EmbedResponse { vectors, model: provider.model() }))
    }

    type CompleteStream = BoxStream<'static, Result<CompleteChunk, Status>>;

    async fn complete(&self, request: Request<CompleteRequest>) -> Result<Response<Self::CompleteStream>, Status> {
        let CompleteRequest { system, prompt, max_tokens } = request.into_inner();
        if prompt.trim().is_empty() || system.chars().chain(prompt.chars()).nth(MAX_CHARACTERS).is_some() {
            return Err(Status::invalid_argument(format!("a prompt of 1 to {MAX_CHARACTERS} characters")));
        }
        let Some(chat) = &self.0.chat else {
            return Err(Status::unavailable("no language model: ai.chat_url is not set"));
        };
        let text = chat.write(&system, &prompt, max_tokens).await.map_err(|error| not_written(&error))?;
        let chunks = text.map(|piece| match piece {
            Ok(text) => Ok(CompleteChunk { text }),
            Err(error) => Err(not_written(&error)),
        });
        Ok(Response::new(chunks.boxed()))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(AiService::status(self)))
    }
}

impl AiService {
    /// The vectors of queries: remembered ones, and new ones for the rest.
    async fn remembered(&self, lane: &Lane, texts: Vec<String>) -> Result<Vec<Arc<[f32]>>, NoVector> {
        let remembered = &self.0.remembered;
        let mut known: HashMap<&str, Arc<[f32]>> =
            texts.iter().filter_map(|text| Some((text.as_str(), remembered.get(text)?))).collect();
        let mut new: Vec<String> = texts.iter().filter(|text| !known.contains_key(text.as_str())).cloned().collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            let vectors = lane.embed(new.clone()).await?;
            for (text, vector) in new.into_iter().zip(vectors) {
                if let Some(text) = texts.iter().find(|asked| **asked == text) {
                    known.insert(text, vector.clone());
                }
                remembered.insert(text, vector);
            }
        }
        Ok(texts.iter().filter_map(|text| known.get(text.as_str()).cloned()).collect())
    }
}

fn not_written(error: &ChatError) -> Status {
    tracing::warn!(error = error as &dyn std::error::Error, "the language model wrote nothing that can be used");
    Status::unavailable(error.to_string())
}

impl From<NoVector> for Status {
    fn from(why: NoVector) -> Self {
        let message = why.to_string();
        match why {
            NoVector::Full => Self::resource_exhausted(message),
            NoVector::Rejected(_) => Self::invalid_argument(message),
            NoVector::Unavailable(_) => Self::unavailable(message),
        }
    }
}
