use std::time::Duration;

use bookworm_config::Ai as Settings;
use bookworm_http::outbound::{self, HttpClient};
use bookworm_resilience::{Failure, Fault, Guard, Policy};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::sse::Events;

/// The longest answer, in bytes; a longer one is an error.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    max_tokens: u32,
    temperature: f32,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

/// Why a language model wrote nothing, or not to the end. The message is for staff and contains no key and no prompt.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The connection cannot be made, or broke.
    #[error("the endpoint for chat cannot be reached")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers with an error.
    #[error("the endpoint for chat answers {0}")]
    Status(StatusCode),
    /// Its answer is not valid.
    #[error("the answer of the endpoint for chat is wrong: {0}")]
    Answer(String),
    /// It was not called, or did not begin in time.
    #[error("the endpoint for chat: {0}")]
    NotNow(String),
    /// It did not end in time.
    #[error("the endpoint for chat does not come to an end")]
    TooSlow,
}

/// A language model's text, piece by piece. Dropping it closes the connection, which ends the work at the other side.
pub type Text = BoxStream<'static, Result<String, ChatError>>;

/// An endpoint that speaks OpenAI's `/v1/chat/completions`.
///
/// A circuit breaker opens while most requests bring no first word in time. Nothing is retried, since a customer waits.
pub struct ChatEndpoint {
    client: HttpClient,
    url: http::Uri,
    authorization: Option<HeaderValue>,
    model: String,
    max_tokens: u32,
    total: Duration,
    guard: Guard,
}

/// A body that is read event by event.
struct Reading {
    body: Incoming,
    events: Events,
    /// Pieces that were read and not yet returned, last first.
    ready: Vec<String>,
    length: usize,
    ended: bool,
}

impl ChatEndpoint {
    /// Prepares requests as the settings say; makes none. `None` when no endpoint is set.
    ///
    /// # Errors
    /// When a setting cannot be used; begins with its key.
    pub fn new(settings: &Settings) -> Result<Option<Self>, String> {
        let Some(url) = &settings.chat_url else { return Ok(None) };
        let url = url.as_str().parse().map_err(|error| format!("chat_url: {error}"))?;
        let key = settings.chat_api_key.as_ref().map(|key| outbound::bearer(key.expose())).transpose();
        let first = Duration::from_millis(settings.chat_first_word_ms);
        let policy = Policy { attempt: first, total: first, attempts: 1, concurrency: 32, ..Policy::default() };
        Ok(Some(Self {
            client: outbound::client(first),
            url,
            authorization: key.map_err(|error| format!("chat_api_key: {error}"))?,
            model: settings
                .chat_model
                .clone()
                .filter(|model| !model.trim().is_empty())
                .ok_or("chat_model: must be set")?,
            max_tokens: settings.chat_max_tokens,
            total: Duration::from_millis(settings.chat_total_ms),
            guard: Guard::new("ai_chat_endpoint", policy),
        }))
    }

    /// Lets the model write. Answers when the first word is there.
    ///
    /// # Errors
    /// When there is no first word in time. Later errors come in the stream.
    pub async fn write(&self, system: &str, prompt: &str, max_tokens: u32) -> Result<Text, ChatError> {
        let ask = Ask {
            model: &self.model,
            messages: [Message { role: "system", content: system }, Message { role: "user", content: prompt }],
            stream: true,
            max_tokens: if max_tokens == 0 { self.max_tokens } else { max_tokens.min(self.max_tokens) },
            // The likeliest words stay closest to the facts.
            temperature: 0.0,
        };
        let body = Bytes::from(serde_json::to_vec(&ask).map_err(|error| ChatError::Answer(error.to_string()))?);
        let deadline = Instant::now() + self.total;
        let begun = self.guard.call(|| self.begin(body.clone()), fault).await;
        let (first, reading) = begun.map_err(|failure| match failure {
            Failure::Failed(error) => error,
            other => ChatError::NotNow(other.to_string()),
        })?;
        let rest = stream::unfold(Some(reading), move |reading| async move {
            let mut reading = reading?;
            match tokio::time::timeout_at(deadline, reading.next()).await {
                Ok(Ok(Some(text))) => Some((Ok(text), Some(reading))),
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some((Err(error), None)),
                Err(_) => Some((Err(ChatError::TooSlow), None)),
            }
        });
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }

    async fn begin(&self, body: Bytes) -> Result<(String, Reading), ChatError> {
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(body)).map_err(|error| ChatError::Connection(error.into()))?;
        let response = self.client.request(request).await.map_err(|error| ChatError::Connection(error.into()))?;
        if !response.status().is_success() {
            return Err(ChatError::Status(response.status()));
        }
        let mut reading = Reading {
            body: response.into_body(),
            events: Events::default(),
            ready: Vec::new(),
            length: 0,
            ended: false,
        };
        let first = reading.next().await?.ok_or_else(|| ChatError::Answer("it wrote nothing".to_owned()))?;
        Ok((first, reading))
    }
}

impl Reading {
    /// The next piece of text; nothing at the end.
    async fn next(&mut self) -> Result<Option<String>, ChatError> {
        loop {
            if let Some(text) = self.ready.pop() {
                self.length += text.len();
                if self.length > MAX_ANSWER {
                    return Err(ChatError::Answer("it is too long".to_owned()));
                }
                return Ok(Some(text));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(frame) = self.body.frame().await else {
                return Err(ChatError::Answer("it ends before its end".to_owned()));
            };
            let frame = frame.map_err(|error| ChatError::Connection(error.into()))?;
            let Ok(bytes) = frame.into_data() else { continue };
            let events = self.events.feed(&bytes).map_err(|error| ChatError::Answer(error.to_string()))?;
            for event in events {
                if event.trim() == "[DONE]" {
                    self.ended = true;
                    break;
                }
                let piece: Piece = serde_json::from_str(&event)
                    // The message of serde_json may repeat what it read.
                    .map_err(|error| {
                        ChatError::Answer(format!("not the JSON of a piece, at column {}", error.column()))
                    })?;
                let text = piece.choices.into_iter().next().and_then(|choice| choice.delta.content);
                self.ready.extend(text.filter(|text| !text.is_empty()));
            }
            self.ready.reverse();
        }
    }
}

fn fault(error: &ChatError) -> Fault {
    match error {
        ChatError::Status(
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY,
        ) => Fault::Caller,
        ChatError::Connection(_) | ChatError::NotNow(_) | ChatError::TooSlow => Fault::Transient { after: None },
        ChatError::Status(_) | ChatError::Answer(_) => Fault::Permanent,
    }
}
