//! What callers notice of the language model: through the gRPC client, with an endpoint made for the test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use bookworm_ai::{AiService, Dependencies};
use bookworm_config::{Ai as Settings, AiProvider, Secret};
use bookworm_contracts::grpc::{
    Edge,
    ai::{CompleteRequest, ai_client::AiClient},
    methods,
};
use bookworm_testing::eventually;
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// How the endpoint behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Words,
    SlowStart,
    SlowEnd,
    Refuses,
    Nonsense,
    BreaksOff,
    Nothing,
}

#[derive(Clone)]
struct Endpoint(Arc<Inner>);

struct Inner {
    mode: Mutex<Mode>,
    asked: AtomicUsize,
    last: Mutex<Option<(HeaderMap, Value)>>,
    dropped: AtomicBool,
}

struct OnDrop(Endpoint);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.0.dropped.store(true, Ordering::SeqCst);
    }
}

fn event(text: &str) -> Bytes {
    Bytes::from(format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]})))
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    endpoint.0.asked.fetch_add(1, Ordering::SeqCst);
    *endpoint.0.last.lock().unwrap() = Some((headers, body));
    let mode = *endpoint.0.mode.lock().unwrap();
    let role = Bytes::from("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n");
    let done = Bytes::from("data: [DONE]\n\n");
    let pieces = match mode {
        Mode::Refuses => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mode::Words => vec![role, event("Your "), event("book"), event(" is here."), done],
        Mode::SlowStart | Mode::SlowEnd => vec![role, event("Wait")],
        Mode::Nonsense => vec![event("a"), Bytes::from("data: {nonsense\n\n")],
        Mode::BreaksOff => vec![event("a")],
        Mode::Nothing => vec![role, done],
    };
    if mode == Mode::SlowStart {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    let guard = OnDrop(endpoint);
    let pieces = stream::iter(pieces).map(Ok::<_, std::io::Error>);
    let endless = stream::pending().take(usize::from(mode == Mode::SlowEnd));
    let body = pieces.chain(endless).map(move |piece| {
        let _ = &guard;
        piece
    });
    Response::new(Body::from_stream(body))
}

async fn serve() -> (Endpoint, AiClient<Edge>) {
    let endpoint = Endpoint(Arc::new(Inner {
        mode: Mutex::new(Mode::Words),
        asked: AtomicUsize::new(0),
        last: Mutex::new(None),
        dropped: AtomicBool::new(false),
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(endpoint.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = Settings {
        provider: AiProvider::Off,
        chat_url: Some(url.parse().unwrap()),
        chat_model: Some("small".to_owned()),
        chat_api_key: Some(Secret::new("k3y")),
        chat_first_word_ms: 400,
        chat_total_ms: 900,
        ..Settings::default()
    };
    (endpoint, client(&AiService::open(Dependencies { settings }).unwrap()))
}

fn client(service: &AiService) -> AiClient<Edge> {
    AiClient::new(Edge::local("test.ai", service.grpc(), methods::AI))
}

fn ask() -> CompleteRequest {
    CompleteRequest { system: "be kind".to_owned(), prompt: "where is it".to_owned(), max_tokens: 50 }
}

async fn complete(client: &AiClient<Edge>) -> Result<Vec<String>, Status> {
    let mut chunks = client.clone().complete(ask()).await?.into_inner();
    let mut pieces = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        pieces.push(chunk.text);
    }
    Ok(pieces)
}

#[tokio::test]
async fn words_come_one_by_one_and_the_request_is_what_endpoints_expect() {
    let (endpoint, client) = serve().await;
    assert_eq!(complete(&client).await.unwrap(), ["Your ", "book", " is here."]);
    let (headers, body) = endpoint.0.last.lock().unwrap().take().unwrap();
    assert_eq!(headers["authorization"], "Bearer k3y");
    assert_eq!((&body["model"], &body["stream"], &body["max_tokens"]), (&json!("small"), &json!(true), &json!(50)));
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "be kind"}));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "where is it"}));
}

#[tokio::test]
async fn whatever_goes_wrong_is_unavailable() {
    for mode in [Mode::SlowStart, Mode::SlowEnd, Mode::Refuses, Mode::Nonsense, Mode::BreaksOff, Mode::Nothing] {
        let (endpoint, client) = serve().await;
        *endpoint.0.mode.lock().unwrap() = mode;
        let error = complete(&client).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(!error.message().contains("k3y") && !error.message().contains("where is it"), "{error}");
    }
}

#[tokio::test]
async fn the_breaker_opens_for_an_endpoint_that_fails() {
    let (endpoint, client) = serve().await;
    *endpoint.0.mode.lock().unwrap() = Mode::Refuses;
    for _ in 0..60 {
        complete(&client).await.unwrap_err();
    }
    assert!(endpoint.0.asked.load(Ordering::SeqCst) < 60, "the breaker never opened");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_work() {
    let (endpoint, client) = serve().await;
    *endpoint.0.mode.lock().unwrap() = Mode::SlowEnd;
    let mut chunks = client.clone().complete(ask()).await.unwrap().into_inner();
    assert_eq!(chunks.message().await.unwrap().unwrap().text, "Wait");
    drop(chunks);
    eventually("the endpoint stops working", async || endpoint.0.dropped.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn without_an_endpoint_or_a_prompt_nothing_is_written() {
    let none = client(
        &AiService::open(Dependencies { settings: Settings { provider: AiProvider::Off, ..Settings::default() } })
            .unwrap(),
    );
    assert_eq!(complete(&none).await.unwrap_err().code(), Code::Unavailable);
    let (endpoint, client) = serve().await;
    for prompt in ["".to_owned(), "x".repeat(20_001)] {
        let error = client.clone().complete(CompleteRequest { prompt, ..ask() }).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    assert_eq!(endpoint.0.asked.load(Ordering::SeqCst), 0);
}

/// Run by `make test-llm` with a real server: `BOOKWORM_TEST_LLM` is its URL.
#[tokio::test]
#[ignore = "needs a language model: make test-llm"]
async fn a_real_model_writes() {
    let settings = Settings {
        provider: AiProvider::Off,
        chat_url: Some(std::env::var("BOOKWORM_TEST_LLM").unwrap().parse().unwrap()),
        chat_model: Some("test".to_owned()),
        chat_first_word_ms: 60_000,
        chat_total_ms: 120_000,
        ..Settings::default()
    };
    let client = client(&AiService::open(Dependencies { settings }).unwrap());
    let request = CompleteRequest {
        system: "You answer in one short sentence.".to_owned(),
        prompt: "What is a bookshop?".to_owned(),
        max_tokens: 60,
    };
    let mut chunks = client.clone().complete(request).await.unwrap().into_inner();
    let mut pieces = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        pieces.push(chunk.text);
    }
    eprintln!("{} pieces: {}", pieces.len(), pieces.concat());
    assert!(pieces.len() > 3, "it was not streamed: {pieces:?}");
    assert!(pieces.concat().chars().any(char::is_alphabetic));
}
