use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_config::Ai as Settings;
use bookworm_http::outbound::{self, HttpClient};
use bookworm_resilience::{Failure, Fault, Guard, Policy, State};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, Serialize};

use super::{Provider, ProviderError, Purpose};

/// The longest answer that is read: 2,048 vectors of 3,072 numbers as text fit.
const MAX_ANSWER: usize = 128 * 1024 * 1024;
/// The most attempts of a request.
const ATTEMPTS: u32 = 3;
/// The longest pause between two attempts, also when the endpoint asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    encoding_format: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    /// JSON has no NaN: servers write null.
    embedding: Vec<Option<f32>>,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the endpoint cannot be reached")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the endpoint answers {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("the endpoint's answer is wrong: {0}")]
    Answer(String),
}

/// An endpoint that speaks OpenAI's `/v1/embeddings`.
///
/// Requests are retried after 429, 500 to 599 and broken connections, with growing pauses or the one the endpoint asks
/// for; a circuit breaker opens while most requests fail.
pub struct Endpoint {
    client: HttpClient,
    url: http::Uri,
    authorization: Option<HeaderValue>,
    model: String,
    batch: usize,
    guard: Guard,
    dimensions: OnceLock<usize>,
    last_error: Mutex<Option<String>>,
}

impl Endpoint {
    /// Prepares requests as the settings say; makes none.
    ///
    /// # Errors
    /// When a setting cannot be used; begins with its key.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let url = settings.url.as_ref().ok_or("url: must be set")?;
        let url = url.as_str().parse().map_err(|error| format!("url: {error}"))?;
        let authorization = settings.api_key.as_ref().map(|key| outbound::bearer(key.expose())).transpose();
        let authorization = authorization.map_err(|error| format!("api_key: {error}"))?;
        let attempt = Duration::from_millis(settings.timeout_ms);
        let policy = Policy {
            attempt,
            total: attempt * 2 + MAX_PAUSE,
            attempts: ATTEMPTS,
            pause: Duration::from_millis(200),
            pause_at_most: MAX_PAUSE,
            ..Policy::default()
        };
        Ok(Self {
            client: outbound::client(attempt),
            url,
            authorization,
            model: settings.model.clone().unwrap_or_default(),
            batch: settings.batch as usize,
            guard: Guard::new("ai_endpoint", policy),
            dimensions: OnceLock::new(),
            last_error: Mutex::new(None),
        })
    }

    async fn ask(&self, body: Bytes, count: usize) -> Result<Vec<Vec<f32>>, AskError> {
        let mut request = Request::post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| AskError::Connection(error.into()))?;
        let response = self.client.request(request).await.map_err(|error| AskError::Connection(error.into()))?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(AskError::Status { status, retry_after: retry_after.map(Duration::from_secs) });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(AskError::Connection)?;
        let answer: Answer = serde_json::from_slice(&body.to_bytes())
            // The message of serde_json may repeat what it read.
            .map_err(|error| AskError::Answer(format!("not the JSON of vectors, at column {}", error.column())))?;
        let mut vectors = vec![Vec::new(); count];
        let found = answer.data.len();
        for Embedding { index, embedding } in answer.data {
            let place = vectors
                .get_mut(index)
                .filter(|place| place.is_empty())
                .ok_or_else(|| AskError::Answer(format!("index {index} is out of range or comes twice")))?;
            *place = embedding
                .into_iter()
                .map(|value| value.filter(|value| value.is_finite()))
                .collect::<Option<_>>()
                .ok_or_else(|| AskError::Answer("a vector contains what is no number".to_owned()))?;
        }
        if found != count {
            return Err(AskError::Answer(format!("{found} vectors for {count} texts")));
        }
        let dimensions = self.dimensions.get().copied().unwrap_or_else(|| vectors[0].len());
        if dimensions == 0 || vectors.iter().any(|vector| vector.len() != dimensions) {
            return Err(AskError::Answer(format!("a vector does not have {dimensions} numbers")));
        }
        Ok(vectors)
    }

    fn record(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

fn fault(error: &AskError) -> Fault {
    match error {
        AskError::Connection(_) => Fault::Transient { after: None },
        AskError::Status { status, .. } if is_rejection(*status) => Fault::Caller,
        AskError::Status { status, retry_after }
            if status.is_server_error()
                || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) =>
        {
            Fault::Transient { after: *retry_after }
        }
        // A wrong key, a wrong URL, an answer that is not valid: a retry would bring the same.
        AskError::Status { .. } | AskError::Answer(_) => Fault::Permanent,
    }
}

/// Whether the endpoint rejects the texts.
fn is_rejection(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY)
}

#[async_trait]
impl Provider for Endpoint {
    fn model(&self) -> String {
        self.model.clone()
    }

    fn dimensions(&self) -> Option<usize> {
        self.dimensions.get().copied()
    }

    fn batch(&self, _purpose: Purpose) -> usize {
        self.batch
    }

    fn concurrency(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Query => 8,
            Purpose::Background => 2,
        }
    }

    fn problem(&self) -> Option<String> {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.guard.state() {
            State::Closed => last,
            state => {
                let last = last.unwrap_or_else(|| "too many requests failed".to_owned());
                Some(format!("{last} (circuit breaker {})", state.name()))
            }
        }
    }

    async fn embed(&self, texts: &[Arc<str>], _purpose: Purpose) -> Result<Vec<Vec<f32>>, ProviderError> {
        // Endpoints refuse empty texts; a space means the same.
        let input = texts.iter().map(|text| if text.trim().is_empty() { " " } else { text.as_ref() }).collect();
        let ask = Ask { model: &self.model, input, encoding_format: "float" };
        let body = serde_json::to_vec(&ask).map_err(|error| ProviderError::Rejected(error.to_string()))?;
        let body = Bytes::from(body);
        match self.guard.call(|| self.ask(body.clone(), texts.len()), fault).await {
            Ok(vectors) => {
                if let Some(vector) = vectors.first() {
                    self.dimensions.get_or_init(|| vector.len());
                }
                self.record(None);
                Ok(vectors)
            }
            Err(Failure::Failed(AskError::Status { status, .. })) if is_rejection(status) => {
                Err(ProviderError::Rejected(format!("the endpoint answers {status}")))
            }
            Err(failure) => {
                let why = match &failure {
                    Failure::TimedOut => "the endpoint does not answer in time".to_owned(),
                    Failure::Failed(error) => {
                        tracing::warn!(
                            error = error as &(dyn std::error::Error + 'static),
                            "the endpoint for vectors failed"
                        );
                        error.to_string()
                    }
                    Failure::Refused { .. } | Failure::Busy => {
                        return Err(ProviderError::Unavailable(format!("the endpoint is {failure}")));
                    }
                };
                self.record(Some(why.clone()));
                Err(ProviderError::Unavailable(why))
            }
        }
    }
}
