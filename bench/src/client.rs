//! A small HTTP/1.1 client: one connection, kept alive, one request at a time. It shares the machine with what it
//! measures, so it does no more than it must.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bookworm_kernel::OrderId;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::TcpStream, time::timeout};

/// The longest that any answer may take.
const LIMIT: Duration = Duration::from_secs(40);

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as a value of the API.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| format!("cannot read the answer: {}", self.excerpt()))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A member of a problem, as text; empty when it is not there.
    fn member(&self, name: &str) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem[name].as_str().unwrap_or_default().to_owned()
    }

    /// The stable code of a problem; empty for anything else.
    pub fn code(&self) -> String {
        self.member("code")
    }

    /// The order that a problem speaks of: it was made, and rejected.
    pub fn refused_order(&self) -> Option<OrderId> {
        self.member("order_id").parse().ok()
    }

    /// Status and the beginning of the body, for messages.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!("{} {}", self.status, text.chars().take(300).collect::<String>())
    }
}

/// What was answered: how often each status, with the code of a problem; and how often nothing was. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    /// Counts `what`.
    pub fn add(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    fn add_answer(&self, answer: &Result<Answer>) {
        self.add(match answer {
            Ok(answer) if answer.status.is_success() => "ok".to_owned(),
            Ok(answer) => format!("{} {}", answer.status.as_u16(), answer.code()).trim_end().to_owned(),
            Err(_) => "no answer".to_owned(),
        });
    }

    /// How often each.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One connection, made when it is needed and again when it broke.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: String,
    sender: Option<SendRequest<Full<Bytes>>>,
    tally: Tally,
}

impl Client {
    /// Connects with the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self::counted(address, Tally::default())
    }

    /// The same; what is answered is counted there.
    pub fn counted(address: SocketAddr, tally: Tally) -> Self {
        Self { address, host: address.to_string(), sender: None, tally }
    }

    /// A further connection to this address, counted with this one.
    pub fn another(&self, address: SocketAddr) -> Self {
        Self::counted(address, self.tally.clone())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When no whole answer came: the server may or may not have done what it was asked.
    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).context("a request that cannot be sent")?;
        let answer = self.answer(request).await;
        self.tally.add_answer(&answer);
        answer
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        match timeout(LIMIT, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(error)
            }
            Err(_) => {
                self.sender = None;
                bail!("no answer from {} within {LIMIT:?}", self.address)
            }
        }
    }

    /// Reads an address.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => connect(self.address).await?,
        };
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; what went wrong is reported to whoever waits for an answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
