//! A server on a port of its own, and clients that say exactly what a test wants.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use bookworm_signalr::{Hub, HubHandle};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Nothing in a test takes longer, on the slowest machine.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Server {
    pub address: String,
    pub handle: HubHandle,
}

impl Server {
    /// Serves a hub at `/hub`.
    pub async fn start(hub: Hub) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router: axum::Router = hub.router("/hub");
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, handle: hub.handle() }
    }

    pub async fn request(&self, request: Request<Body>) -> Response<hyper::body::Incoming> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        tokio::time::timeout(RECEIVE_TIMEOUT, client.request(request)).await.expect("an answer in time").unwrap()
    }

    /// Asks, and gives status, headers and body.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.request(request.body(body.into()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body =
            tokio::time::timeout(RECEIVE_TIMEOUT, body.collect()).await.expect("a body in time").unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, path, &[], body).await
    }

    pub async fn negotiate(&self, query: &str) -> Value {
        let answer = self.post(&format!("/hub/negotiate{query}"), Body::empty()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The token of a new connection.
    pub async fn token(&self) -> String {
        self.negotiate("?negotiateVersion=1").await["connectionToken"].as_str().unwrap().to_owned()
    }

    /// A WebSocket that has not said anything.
    pub async fn socket(&self, query: &str) -> Socket {
        let url = format!("ws://{}/hub{query}", self.address);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Socket { socket, rest: String::new() }
    }

    /// A WebSocket after a JSON handshake, without negotiation.
    pub async fn connect(&self) -> Socket {
        self.connect_with("").await
    }

    pub async fn connect_with(&self, query: &str) -> Socket {
        let mut socket = self.socket(query).await;
        socket.shake_hands(1).await;
        socket
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub struct Socket {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    rest: String,
}

impl Socket {
    pub async fn shake_hands(&mut self, version: u32) {
        self.say(json!({ "protocol": "json", "version": version })).await;
        assert_eq!(self.receive().await, json!({}));
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn say(&mut self, message: Value) {
        self.send_raw(Message::text(format!("{message}\u{1e}"))).await;
    }

    /// The next JSON message, `None` at the end of the connection. Pings are passed over.
    pub async fn hear_or_end(&mut self) -> Option<Value> {
        loop {
            if let Some((message, rest)) = self.rest.split_once('\u{1e}') {
                let message: Value = serde_json::from_str(message).unwrap();
                self.rest = rest.to_owned();
                if message["type"] == 6 {
                    continue;
                }
                return Some(message);
            }
            match tokio::time::timeout(RECEIVE_TIMEOUT, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => self.rest.push_str(&text),
                // Reading on answers it.
                Some(Ok(Message::Close(_))) => {}
                Some(Err(_)) | None => {
                    assert_eq!(self.rest, "", "frames hold whole messages");
                    return None;
                }
                Some(Ok(other)) => panic!("JSON goes in text frames: {other:?}"),
            }
        }
    }

    pub async fn receive(&mut self) -> Value {
        self.hear_or_end().await.expect("a message before the end")
    }

    /// Calls and waits for the completion.
    pub async fn invoke(&mut self, target: &str, arguments: Value) -> Value {
        self.say(json!({ "type": 1, "invocationId": "i", "target": target, "arguments": arguments })).await;
        self.receive().await
    }

    /// Calls, and gives the error.
    pub async fn error_of(&mut self, target: &str, arguments: Value) -> String {
        self.invoke(target, arguments).await["error"].as_str().expect("an error").to_owned()
    }

    /// Breaks it without a word.
    pub fn cut(self) {
        drop(self);
    }
}

/// Polls a condition until it holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < RECEIVE_TIMEOUT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
