//! A SignalR client over a WebSocket, in JSON: as much of the protocol as tests and load need, one call at a time.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Ends every message of the JSON protocol.
const SEPARATOR: char = '\u{1e}';
/// The longest that an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The shortest wait that is worth waiting.
const INSTANT: Duration = Duration::from_millis(1);

/// Why a hub did not answer as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubClientError {
    /// The connection is gone, or never came to be: what was asked may or may not have been done.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// The hub refused, with this message.
    #[error("the hub refused: {0}")]
    Refused(String),
}

impl HubClientError {
    /// The code in front of the hub's words, such as `not_found`; empty when the connection is lost.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Lost(_) => "",
            Self::Refused(words) => {
                // "An unexpected error occurred invoking 'X' on the server. HubException: code: sentence"
                let text = words.rsplit_once("HubException: ").map_or(words.as_str(), |(_, text)| text);
                text.split_once(": ").map_or("", |(code, _)| code)
            }
        }
    }
}

/// What the hub sends by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct HubEvent {
    /// Its name.
    pub name: String,
    /// Its first argument.
    pub argument: Value,
}

/// A connection to a hub.
#[derive(Debug)]
pub struct HubClient {
    socket: WebSocketStream<TcpStream>,
    calls: u64,
    /// Messages that were read and not yet looked at.
    unread: VecDeque<Value>,
    /// Events that came while something else was awaited.
    events: VecDeque<HubEvent>,
}

impl HubClient {
    /// Connects to the hub at this path, such as `/hubs/chat`, as whoever the token names.
    ///
    /// # Errors
    /// When there is no connection, or the hub refuses it.
    pub async fn connect(address: SocketAddr, path: &str, token: Option<&str>) -> Result<Self, HubClientError> {
        let query = token.map(|token| format!("?access_token={token}")).unwrap_or_default();
        let url = format!("ws://{address}{path}{query}");
        let open = async {
            let stream = TcpStream::connect(address).await.map_err(lost)?;
            stream.set_nodelay(true).map_err(lost)?;
            let (socket, _) = client_async(url, stream).await.map_err(lost)?;
            let mut client = Self { socket, calls: 0, unread: VecDeque::new(), events: VecDeque::new() };
            client.send(&json!({"protocol": "json", "version": 1})).await?;
            let answer = client.read().await?;
            match answer["error"].as_str() {
                Some(error) => Err(HubClientError::Refused(error.to_owned())),
                None => Ok(client),
            }
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, open).await.map_err(lost)?
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// When the hub says no or the connection is lost.
    pub async fn invoke(&mut self, method: &str, arguments: &[Value]) -> Result<Value, HubClientError> {
        let id = self.call(1, method, arguments).await?;
        let answer = async {
            loop {
                let message = self.read().await?;
                if message["type"] == 3 && message["invocationId"] == id.as_str() {
                    return completion(&message);
                }
                self.record(&message);
            }
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, answer).await.map_err(lost)?
    }

    /// Calls a streaming method and collects what it streams.
    ///
    /// # Errors
    /// When the hub says no, the stream fails, or the connection is lost.
    pub async fn stream(&mut self, method: &str, arguments: &[Value]) -> Result<Vec<Value>, HubClientError> {
        let id = self.call(4, method, arguments).await?;
        let mut items = Vec::new();
        let all = async {
            loop {
                let mut message = self.read().await?;
                let ours = message["invocationId"] == id.as_str();
                match message["type"].as_u64() {
                    Some(2) if ours => items.push(message["item"].take()),
                    Some(3) if ours => return completion(&message),
                    _ => self.record(&message),
                }
            }
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, all).await.map_err(lost)??;
        Ok(items)
    }

    /// The next event, if one comes within `wait`.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn event(&mut self, wait: Duration) -> Result<Option<HubEvent>, HubClientError> {
        self.find(wait, |_| true).await
    }

    /// The first event with this name that `wanted` accepts, if one comes within `wait`. Others stay for later.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn event_like(
        &mut self,
        name: &str,
        wait: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>, HubClientError> {
        let found = self.find(wait, |event| event.name == name && wanted(&event.argument)).await?;
        Ok(found.map(|event| event.argument))
    }

    /// Drops the events that came and were not asked for, so that the next one of a name is not one of the past.
    pub fn forget_events(&mut self) {
        self.events.clear();
    }

    /// Closes the connection as a client that leaves does.
    pub async fn close(mut self) {
        // Whether the other side is still there does not matter to whoever leaves.
        let _ = self.send(&json!({"type": 7})).await;
        let _ = self.socket.close(None).await;
    }

    async fn find(
        &mut self,
        wait: Duration,
        wanted: impl Fn(&HubEvent) -> bool,
    ) -> Result<Option<HubEvent>, HubClientError> {
        let until = tokio::time::Instant::now() + wait.max(INSTANT);
        let mut looked_at = 0;
        loop {
            if let Some(place) = self.events.iter().skip(looked_at).position(&wanted) {
                return Ok(self.events.remove(looked_at + place));
            }
            looked_at = self.events.len();
            match tokio::time::timeout_at(until, self.read()).await {
                Ok(message) => self.record(&message?),
                Err(_) => return Ok(None),
            }
        }
    }

    async fn call(&mut self, kind: u8, method: &str, arguments: &[Value]) -> Result<String, HubClientError> {
        self.calls += 1;
        let id = self.calls.to_string();
        self.send(&json!({"type": kind, "invocationId": id, "target": method, "arguments": arguments})).await?;
        Ok(id)
    }

    fn record(&mut self, message: &Value) {
        if message["type"] == 1
            && let Some(name) = message["target"].as_str()
        {
            self.events.push_back(HubEvent { name: name.to_owned(), argument: message["arguments"][0].clone() });
        }
    }

    async fn send(&mut self, message: &Value) -> Result<(), HubClientError> {
        self.socket.send(Message::text(format!("{message}{SEPARATOR}"))).await.map_err(lost)
    }

    /// The next message. Dropping the future loses none.
    async fn read(&mut self) -> Result<Value, HubClientError> {
        loop {
            if let Some(message) = self.unread.pop_front() {
                if message["type"] == 7 {
                    return Err(HubClientError::Lost(message["error"].as_str().unwrap_or("closed").to_owned()));
                }
                return Ok(message);
            }
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let messages = text.split(SEPARATOR).filter(|part| !part.is_empty());
                    let messages: Result<Vec<Value>, _> = messages.map(serde_json::from_str).collect();
                    self.unread.extend(messages.map_err(lost)?);
                }
                Some(Ok(Message::Close(_))) | None => return Err(HubClientError::Lost("closed".to_owned())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(error)),
            }
        }
    }
}

fn completion(message: &Value) -> Result<Value, HubClientError> {
    match message["error"].as_str() {
        Some(error) => Err(HubClientError::Refused(error.to_owned())),
        None => Ok(message["result"].clone()),
    }
}

fn lost(error: impl std::fmt::Display) -> HubClientError {
    HubClientError::Lost(error.to_string())
}
