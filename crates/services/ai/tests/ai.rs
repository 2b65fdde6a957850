//! What callers notice of the service: through its gRPC client, with a provider that does as it is told, with an
//! endpoint made for the test, and with the real model when it is there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{Json, Router, extract::State, response::IntoResponse, routing::post};
use bookworm_ai::{
    AiService, Dependencies, StartError,
    local::{Model, Precision, Workspace},
    provider::{Provider, ProviderError, Purpose as For},
};
use bookworm_config::{Ai as Settings, AiProvider, Secret};
use bookworm_contracts::grpc::{
    Edge,
    ai::{EmbedRequest, Purpose, StatusRequest, ai_client::AiClient},
    methods,
};
use bookworm_testing::eventually;
use futures::{FutureExt, future::join_all};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tonic::{Code, Status};

fn client(service: &AiService) -> AiClient<Edge> {
    AiClient::new(Edge::local("test.ai", service.grpc(), methods::AI))
}

async fn embed(service: &AiService, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>, Status> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    let answer = client(service).embed(EmbedRequest { texts, purpose: purpose.into() }).await?.into_inner();
    Ok(answer.vectors.into_iter().map(|vector| vector.values).collect())
}

type Answers = fn(&[Arc<str>]) -> Result<Vec<Vec<f32>>, ProviderError>;

/// Makes vectors whose first number is the text's length; works only while it has permits, one for each batch.
struct Fake {
    go: Semaphore,
    batches: Mutex<Vec<(Vec<String>, For)>>,
    answers: Answers,
    begun: AtomicUsize,
}

fn lengths(texts: &[Arc<str>]) -> Result<Vec<Vec<f32>>, ProviderError> {
    Ok(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
}

impl Fake {
    fn new(permits: usize, answers: Answers) -> Arc<Self> {
        let (go, batches) = (Semaphore::new(permits), Mutex::default());
        Arc::new(Self { go, batches, answers, begun: AtomicUsize::new(0) })
    }

    fn batches(&self) -> Vec<(Vec<String>, For)> {
        self.batches.lock().unwrap().clone()
    }
}

#[async_trait]
impl Provider for Fake {
    fn model(&self) -> String {
        "fake".to_owned()
    }
    fn dimensions(&self) -> Option<usize> {
        Some(2)
    }
    fn batch(&self, _purpose: For) -> usize {
        3
    }
    fn concurrency(&self, _purpose: For) -> usize {
        1
    }
    fn problem(&self) -> Option<String> {
        None
    }
    async fn embed(&self, texts: &[Arc<str>], purpose: For) -> Result<Vec<Vec<f32>>, ProviderError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.go.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push((texts.iter().map(ToString::to_string).collect(), purpose));
        (self.answers)(texts)
    }
}

fn near(one: &[f32], other: &[f32], within: f32) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| (one - other).abs() < within)
}

#[tokio::test]
async fn every_text_gets_its_own_vector_of_length_1() {
    let fake = Fake::new(99, lengths);
    let service = AiService::with(fake.clone(), 64);
    let texts = ["a", "bb", "a", "ccc", "", "dddddd", "ee"];
    for purpose in [Purpose::Query, Purpose::Background] {
        let vectors = embed(&service, &texts, purpose).await.unwrap();
        for (text, vector) in texts.iter().zip(&vectors) {
            let length = (text.len() as f32).hypot(1.0);
            assert!(near(vector, &[text.len() as f32 / length, 1.0 / length], 1e-6), "{text}: {vector:?}");
        }
        assert_eq!(vectors.len(), texts.len());
    }
    assert!(fake.batches().iter().all(|(texts, _)| texts.len() <= 3), "no batch above what the provider likes");
    let status = client(&service).status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.model.as_str(), status.dimensions, status.ready), ("fake", 2, true));
}

#[tokio::test]
async fn a_call_without_texts_with_too_many_or_too_long_ones_is_refused() {
    let service = AiService::with(Fake::new(99, lengths), 64);
    let long = "ä".repeat(20_001);
    for texts in [&[][..], &["x"; 65], &["fine", &long]] {
        assert_eq!(embed(&service, texts, Purpose::Query).await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(embed(&service, &[&long[2..]], Purpose::Query).await.unwrap().len(), 1, "20,000 characters are fine");
    assert_eq!(embed(&service, &["x"; 64], Purpose::Background).await.unwrap().len(), 64);
}

#[tokio::test]
async fn a_query_does_not_wait_for_the_background() {
    let fake = Fake::new(0, lengths);
    let service = AiService::with(fake.clone(), 64);
    let indexing = tokio::spawn({
        let service = service.clone();
        async move { embed(&service, &["one", "two", "three", "four", "five", "six"], Purpose::Background).await }
    });
    eventually("the background is at work", async || fake.begun.load(Ordering::SeqCst) == 1).await;
    let query = tokio::spawn({
        let service = service.clone();
        async move { embed(&service, &["query"], Purpose::Query).await }
    });
    eventually("the query is at work too", async || fake.begun.load(Ordering::SeqCst) == 2).await;
    fake.go.add_permits(9);
    query.await.unwrap().unwrap();
    assert_eq!(indexing.await.unwrap().unwrap().len(), 6);
}

#[tokio::test]
async fn callers_at_the_same_time_share_batches() {
    let fake = Fake::new(0, lengths);
    let service = AiService::with(fake.clone(), 64);
    let texts: Vec<String> = (0..7).map(|n| format!("text {n}")).collect();
    let calls = join_all(texts.iter().map(|text| {
        let service = service.clone();
        async move { embed(&service, &[text], Purpose::Query).await }
    }));
    let (answers, ()) = tokio::join!(calls, async { fake.go.add_permits(99) });
    assert!(answers.iter().all(Result::is_ok));
    assert!(fake.batches().len() <= 4, "{:?}", fake.batches());
}

#[tokio::test]
async fn a_full_line_is_said_at_once_and_work_nobody_wants_any_more_is_not_done() {
    let fake = Fake::new(0, lengths);
    let service = AiService::with(fake.clone(), 4);
    let first = tokio::spawn({
        let service = service.clone();
        async move { embed(&service, &["first"], Purpose::Background).await }
    });
    eventually("the first is at work", async || fake.begun.load(Ordering::SeqCst) == 1).await;
    let mut waiting = Box::pin(embed(&service, &["given up"; 4], Purpose::Background));
    for _ in 0..100 {
        assert!(waiting.as_mut().now_or_never().is_none(), "nothing is answered yet");
        tokio::task::yield_now().await;
    }
    let refused = embed(&service, &["one too many"], Purpose::Background);
    let refused = tokio::time::timeout(Duration::from_secs(5), refused).await.expect("at once").unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(waiting);
    fake.go.add_permits(99);
    first.await.unwrap().unwrap();
    embed(&service, &["last"], Purpose::Background).await.unwrap();
    let worked: Vec<String> = fake.batches().into_iter().flat_map(|(texts, _)| texts).collect();
    assert_eq!(worked, ["first", "last"]);
}

#[tokio::test]
async fn a_query_that_was_asked_before_is_remembered() {
    let fake = Fake::new(99, lengths);
    let service = AiService::with(fake.clone(), 64);
    let first = embed(&service, &["lighthouse", "keeper"], Purpose::Query).await.unwrap();
    let again = embed(&service, &["keeper", "lighthouse", "grief"], Purpose::Query).await.unwrap();
    assert_eq!((&again[0], &again[1]), (&first[1], &first[0]));
    let worked: Vec<String> = fake.batches().into_iter().flat_map(|(texts, _)| texts).collect();
    assert_eq!(worked.iter().filter(|text| *text == "keeper").count(), 1, "{worked:?}");
}

#[tokio::test]
async fn a_wrong_answer_is_no_answer() {
    let wrong: [Answers; 6] = [
        |_| Ok(vec![]),
        |texts| Ok(vec![vec![1.0, 0.0, 0.0]; texts.len()]),
        |texts| Ok(vec![vec![f32::NAN, 0.0]; texts.len()]),
        |texts| Ok(vec![vec![f32::INFINITY, 0.0]; texts.len()]),
        |texts| Ok(vec![vec![0.0, 0.0]; texts.len()]),
        |_| Err(ProviderError::Unavailable("down".to_owned())),
    ];
    for answers in wrong {
        let service = AiService::with(Fake::new(99, answers), 64);
        let status = embed(&service, &["text"], Purpose::Query).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test]
async fn a_text_that_is_rejected_does_not_take_its_neighbours_along() {
    let fake = Fake::new(0, |texts| {
        let bad = texts.iter().any(|text| &**text == "bad");
        if bad { Err(ProviderError::Rejected("too long".to_owned())) } else { lengths(texts) }
    });
    let service = AiService::with(fake.clone(), 64);
    let calls = join_all(["good", "bad", "fine"].map(|text| {
        let service = service.clone();
        async move { embed(&service, &[text], Purpose::Query).await }
    }));
    let (answers, ()) = tokio::join!(calls, async { fake.go.add_permits(99) });
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn without_a_model_the_reason_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { model_dir: Some(folder.path().to_owned()), ..Settings::default() };
    let service = AiService::open(Dependencies { settings: settings.clone() }).unwrap();
    let status = embed(&service, &["text"], Purpose::Query).await.unwrap_err();
    assert!(status.code() == Code::Unavailable && status.message().contains("scripts/model"), "{status}");
    let status = client(&service).status(StatusRequest {}).await.unwrap().into_inner();
    assert!(!status.ready && status.problem.contains("scripts/model") && status.model.is_empty(), "{status:?}");

    settings.provider = AiProvider::Local;
    assert!(
        matches!(AiService::open(Dependencies { settings: settings.clone() }), Err(StartError::NoModel(_))),
        "who asks for one must get it"
    );

    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::write(folder.path().join(file), b"\x08\0\0\0\0\0\0\0not json").unwrap();
    }
    let service = AiService::open(Dependencies { settings }).unwrap();
    eventually("the broken file was read", async || service.status().problem.contains("cannot be read")).await;
    assert_eq!(embed(&service, &["text"], Purpose::Query).await.unwrap_err().code(), Code::Unavailable);
}

/// The key and the body of a request.
type Asked = (Option<String>, Value);

/// An endpoint that gives each answer of a list once, and then good ones.
#[derive(Clone, Default)]
struct Server {
    script: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone)]
enum Reply {
    Status(u16, Option<&'static str>),
    Slow(Duration),
    Body(&'static str),
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Reply>) -> (Self, Settings) {
        let server = Self { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/embeddings", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/embeddings", post(answer)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = Settings {
            url: Some(url.parse().unwrap()),
            model: Some("tiny".to_owned()),
            api_key: Some(Secret::new("sk-hidden")),
            timeout_ms: 400,
            ..Settings::default()
        };
        (server, settings)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer(State(server): State<Server>, headers: HeaderMap, Json(body): Json<Value>) -> axum::response::Response {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    server.asked.lock().unwrap().push((key, body.clone()));
    let reply = server.script.lock().unwrap().pop_front();
    match reply {
        Some(Reply::Status(status, retry_after)) => {
            let headers = retry_after.map(|seconds| [("retry-after", seconds)]);
            (
                StatusCode::from_u16(status).unwrap(),
                headers.map_or_else(HeaderMap::new, |h| {
                    h.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
                }),
            )
                .into_response()
        }
        Some(Reply::Body(body)) => ([("content-type", "application/json")], body).into_response(),
        Some(Reply::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            StatusCode::OK.into_response()
        }
        None => {
            let texts = body["input"].as_array().unwrap();
            // Out of order, as the interface allows.
            let data: Vec<Value> = texts
                .iter()
                .enumerate()
                .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": [text.as_str().unwrap().len(), 4.0, 0.0]}))
                .rev()
                .collect();
            Json(json!({"object": "list", "model": "tiny", "data": data})).into_response()
        }
    }
}

#[tokio::test]
async fn an_endpoint_is_asked_in_batches_with_its_key() {
    let (server, settings) = Server::start([]).await;
    let service = AiService::open(Dependencies { settings }).unwrap();
    let vectors = embed(&service, &["abc", ""], Purpose::Query).await.unwrap();
    assert!(near(&vectors[0], &[0.6, 0.8, 0.0], 1e-6), "{vectors:?}");
    let (key, body) = server.asked.lock().unwrap()[0].clone();
    assert_eq!(key.as_deref(), Some("Bearer sk-hidden"));
    assert_eq!((&body["model"], &body["encoding_format"]), (&json!("tiny"), &json!("float")));
    assert_eq!(body["input"].as_array().unwrap().len(), 2);
    let status = service.status();
    assert_eq!((status.model.as_str(), status.dimensions, status.ready), ("tiny", 3, true));
}

#[tokio::test]
async fn passing_failures_of_an_endpoint_are_not_noticed() {
    for script in [
        vec![Reply::Status(500, None), Reply::Status(503, None)],
        vec![Reply::Status(429, Some("1"))],
        vec![Reply::Slow(Duration::from_secs(5))],
    ] {
        let (server, settings) = Server::start(script.clone()).await;
        let service = AiService::open(Dependencies { settings }).unwrap();
        let start = Instant::now();
        assert_eq!(embed(&service, &["abc"], Purpose::Query).await.unwrap().len(), 1);
        assert_eq!(server.asked(), script.len() + 1);
        if let Reply::Status(429, _) = script[0] {
            assert!(start.elapsed() >= Duration::from_secs(1), "it waits as long as it is asked to");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_and_not_repeated() {
    let (server, settings) = Server::start([Reply::Status(401, None)]).await;
    let service = AiService::open(Dependencies { settings }).unwrap();
    let status = embed(&service, &["abc"], Purpose::Query).await.unwrap_err();
    assert_eq!((status.code(), server.asked()), (Code::Unavailable, 1));
    assert!(status.message().contains("401") && !status.message().contains("sk-hidden"), "{status}");
    assert!(service.status().problem.contains("401"));
    embed(&service, &["abc"], Purpose::Query).await.unwrap();
    assert!(service.status().ready, "it is well again");
}

#[tokio::test]
async fn an_endpoint_that_stays_down_is_left_alone() {
    let (server, settings) = Server::start(vec![Reply::Status(500, None); 99]).await;
    let service = AiService::open(Dependencies { settings }).unwrap();
    for n in 0..11 {
        embed(&service, &[&n.to_string()], Purpose::Query).await.unwrap_err();
    }
    assert_eq!(server.asked(), 10, "the breaker opens after ten failures");
    let status = service.status();
    assert!(!status.ready && status.problem.contains("circuit breaker open"), "{status:?}");
}

#[tokio::test]
async fn nonsense_from_an_endpoint_is_no_vector() {
    for body in [
        "",
        "{}",
        r#"{"data": []}"#,
        r#"{"data": [{"index": 0, "embedding": []}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, null]}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, NaN]}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, 1e300]}]}"#,
        r#"{"data": [{"index": 1, "embedding": [1, 2]}]}"#,
        r#"{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 0, "embedding": [1, 2]}]}"#,
        r#"{"data": [{"index": 0, "embedding": ["a", "b"]}]}"#,
    ] {
        let (_, settings) = Server::start([Reply::Body(body)]).await;
        let service = AiService::open(Dependencies { settings }).unwrap();
        let status = embed(&service, &["abc"], Purpose::Query).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{body}: {status}");
    }
}

#[tokio::test]
async fn vectors_of_another_size_than_before_are_refused() {
    let (_, settings) = Server::start([
        Reply::Body(r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}]}"#),
        Reply::Body(r#"{"data": [{"index": 0, "embedding": [1, 2]}]}"#),
    ])
    .await;
    let service = AiService::open(Dependencies { settings }).unwrap();
    embed(&service, &["abc"], Purpose::Query).await.unwrap();
    assert_eq!(embed(&service, &["def"], Purpose::Query).await.unwrap_err().code(), Code::Unavailable);
}

/// The real model's folder; without it the tests of the model say so and pass, except where CI=true.
fn model_dir(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BOOKWORM_AI__MODEL_DIR").map(PathBuf::from).or_else(bookworm_ai::default_model_dir);
    let there = folder.clone().filter(|folder| Model::is_in(folder));
    if there.is_none() {
        assert!(std::env::var("CI").is_err(), "{test} needs the model: run scripts/model");
        eprintln!("SKIPPED: {test} needs the model in {folder:?}: run scripts/model");
    }
    there
}

fn model(test: &str) -> Option<Model> {
    Some(Model::load(&model_dir(test)?, 128, Precision::Exact).unwrap())
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[test]
fn the_model_gives_the_published_numbers() {
    let Some(model) = model("the_model_gives_the_published_numbers") else { return };
    // What sentence-transformers (PyTorch) gives for the example of the model's card.
    let expected = [0.067_656_95, 0.063_495_96, 0.048_713_11, 0.079_304_97, 0.037_448_04, 0.002_652_78, 0.039_374_99];
    let vectors = model.embed(&["This is an example sentence"], &mut Workspace::default()).unwrap();
    assert!(near(&vectors[0][..7], &expected, 2e-6), "{:?}", &vectors[0][..7]);
    assert_eq!(vectors[0].len(), 384);
}

#[test]
fn sentences_that_mean_the_same_are_near_each_other() {
    let Some(model) = model("sentences_that_mean_the_same_are_near_each_other") else { return };
    let vectors = model
        .embed(
            &[
                "a quiet novel about a lighthouse keeper and grief",
                "On a lonely island a widower tends the lamp and mourns his wife",
                "Learn to program microcontrollers in C with forty worked projects",
            ],
            &mut Workspace::default(),
        )
        .unwrap();
    let (same, other) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
    assert!(same > 0.35 && other < 0.15, "{same} {other}");
}

#[test]
fn quick_vectors_point_the_same_way() {
    let Some(folder) = model_dir("quick_vectors_point_the_same_way") else { return };
    let [exact, quick] =
        [Precision::Exact, Precision::Quick].map(|precision| Model::load(&folder, 128, precision).unwrap());
    let long = "A lighthouse keeper grieves for his wife, and the sea takes what it wants. ".repeat(20);
    let texts = ["x", "東京の灯台", "The Hobbit by J.R.R. Tolkien. Subjects: Fantasy.", &long];
    let mut workspace = Workspace::default();
    let exact = exact.embed(&texts, &mut workspace).unwrap();
    let together = quick.embed(&texts, &mut workspace).unwrap();
    for ((exact, together), text) in exact.iter().zip(&together).zip(&texts) {
        assert!((cosine(together, together) - 1.0).abs() < 1e-4);
        let cosine = cosine(exact, together);
        assert!(cosine > 0.98, "{cosine}: {text:.20}");
        let alone = quick.embed(&[text], &mut workspace).unwrap();
        assert!(near(&alone[0], together, 1e-4), "{text:.20}: it depends on its batch");
    }
}

#[test]
fn a_vector_does_not_depend_on_its_batch_and_no_text_is_too_strange() {
    let Some(model) = model("a_vector_does_not_depend_on_its_batch_and_no_text_is_too_strange") else { return };
    let long = "The sea, the sea. ".repeat(1200);
    let texts = [
        "",
        " ",
        "x",
        "🦀🎉👩‍👩‍👧",
        "\0\u{1}\u{7f}\u{feff}\u{202e}",
        "東京の灯台",
        "Ünïcödé é",
        &long[..20_000],
        &"a".repeat(20_000),
        "[CLS] [MASK]",
        "a quiet novel about a lighthouse keeper and grief",
    ];
    let mut workspace = Workspace::default();
    let together = model.embed(&texts, &mut workspace).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-4);
        let alone = model.embed(&[text], &mut workspace).unwrap();
        assert!(near(&alone[0], vector, 1e-4), "{:?}", text.chars().take(20).collect::<String>());
    }
    // What is beyond the model's length does not count.
    let (one, other) = (format!("{long} one"), format!("{long} another"));
    let cut = model.embed(&[&one, &other], &mut workspace).unwrap();
    assert_eq!(cut[0], cut[1]);
}

#[tokio::test]
async fn the_service_loads_the_model_while_the_shop_starts() {
    let Some(folder) = model_dir("the_service_loads_the_model_while_the_shop_starts") else { return };
    let start = Instant::now();
    let service =
        AiService::open(Dependencies { settings: Settings { model_dir: Some(folder), ..Settings::default() } })
            .unwrap();
    assert!(start.elapsed() < Duration::from_millis(300), "opening must not wait for the model");
    eventually("the model is loaded", async || service.status().ready).await;
    let texts: Vec<String> = (0..20).map(|n| format!("book number {n}")).collect();
    let calls = join_all(texts.iter().map(|text| {
        let (service, purpose) =
            (service.clone(), if text.len().is_multiple_of(2) { Purpose::Query } else { Purpose::Background });
        async move { embed(&service, &[text], purpose).await }
    }));
    assert!(calls.await.into_iter().all(|answer| answer.unwrap()[0].len() == 384));
    let status = service.status();
    assert!(status.dimensions == 384 && status.model.contains("/128/"), "{status:?}");
}
