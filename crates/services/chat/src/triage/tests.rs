use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bookworm_contracts::grpc::{
    Edge,
    ai::{
        CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, StatusRequest, StatusResponse, Vector,
        ai_server::{Ai, AiServer},
    },
    methods,
};
use bookworm_testing::eventually;
use tonic::{Request, Response, Status};

use super::*;

/// Makes vectors of the letters in a text, until it is told to fail.
#[derive(Clone, Default)]
struct FakeModel(Arc<FakeState>);

#[derive(Default)]
struct FakeState {
    texts: AtomicUsize,
    down: AtomicBool,
    renamed: AtomicBool,
}

impl FakeModel {
    fn ways(&self) -> Models {
        let way = Edge::local("test.ai", AiServer::new(self.clone()), methods::AI);
        Models { messages: way.clone(), background: way }
    }

    fn name(&self) -> String {
        if self.0.renamed.load(Ordering::SeqCst) { "letters 2" } else { "letters" }.to_owned()
    }
}

#[tonic::async_trait]
impl Ai for FakeModel {
    type CompleteStream = futures::stream::Empty<Result<CompleteChunk, Status>>;

    async fn complete(&self, _: Request<CompleteRequest>) -> Result<Response<Self::CompleteStream>, Status> {
        Err(Status::unavailable("no language model"))
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        if self.0.down.load(Ordering::SeqCst) {
            return Err(Status::unavailable("down"));
        }
        let texts = request.into_inner().texts;
        self.0.texts.fetch_add(texts.len(), Ordering::SeqCst);
        let vectors = texts.iter().map(|text| {
            let mut values = [0.01_f32; 26];
            for letter in text.to_lowercase().bytes().filter(u8::is_ascii_lowercase) {
                values[usize::from(letter - b'a')] += 1.0;
            }
            let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            Vector { values: values.iter().map(|value| value / length).collect() }
        });
        Ok(Response::new(EmbedResponse { vectors: vectors.collect(), model: self.name() }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let ready = !self.0.down.load(Ordering::SeqCst);
        Ok(Response::new(StatusResponse { model: self.name(), dimensions: 26, ready, problem: String::new() }))
    }
}

async fn intent_of(triage: &Triage, text: &str) -> Intent {
    triage.classify(text, &Cause::start()).await.intent
}

#[tokio::test]
async fn without_a_model_words_decide() {
    let folder = tempfile::tempdir().unwrap();
    let triage = Triage::open(None, folder.path());
    for (text, expected) in [
        ("Where's my order BW-7K3M-92QX??", Intent::TrackOrder),
        ("i wanna cancel my order", Intent::CancelOrder),
        ("what does shipping cost", Intent::DeliveryOptions),
        ("hello", Intent::Greeting),
        ("THANKS!", Intent::Thanks),
        ("please recommend me a book", Intent::RecommendBook),
        ("how do I get a refund", Intent::GetRefund),
        ("what's the weather in Rome tomorrow", Intent::OutOfScope),
    ] {
        let found = triage.classify(text, &Cause::start()).await;
        assert_eq!(found.intent, expected, "{text}: {}", found.confidence);
        assert!(found.embedded.is_none() && (0.0..=1.0).contains(&found.confidence));
    }
    let gibberish = triage.classify("zxqv wvut", &Cause::start()).await;
    assert!(!gibberish.understood && gibberish.intent == Intent::OutOfScope, "{gibberish:?}");
}

#[tokio::test]
async fn vectors_take_over_once_and_a_restart_asks_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let model = FakeModel::default();
    model.0.down.store(true, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let triage = Triage::open(Some(model.ways()), folder.path());
    let learning = tokio::spawn(triage.clone().learn(stop.clone()));
    assert_eq!(intent_of(&triage, "hello").await, Intent::Greeting);
    assert!(!triage.knows_meaning());
    model.0.down.store(false, Ordering::SeqCst);
    eventually("the triage learns", async || triage.knows_meaning()).await;
    assert_eq!(model.0.texts.load(Ordering::SeqCst), triage.0.examples.len());
    let found = triage.classify("where is my order", &Cause::start()).await;
    assert!(found.embedded.is_some() && found.intent == Intent::TrackOrder, "{found:?}");

    let again = Triage::open(Some(model.ways()), folder.path());
    let before = model.0.texts.load(Ordering::SeqCst);
    let learning_again = tokio::spawn(again.clone().learn(stop.clone()));
    eventually("the triage learns", async || again.knows_meaning()).await;
    assert_eq!(model.0.texts.load(Ordering::SeqCst), before, "all were on disk");

    model.0.down.store(true, Ordering::SeqCst);
    let found = triage.classify("where is my order", &Cause::start()).await;
    assert!(found.embedded.is_none() && found.intent == Intent::TrackOrder, "words go on: {found:?}");
    stop.cancel();
    learning.await.unwrap();
    learning_again.await.unwrap();
}

#[tokio::test]
async fn vectors_of_another_model_are_not_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let model = FakeModel::default();
    let triage = Triage::open(Some(model.ways()), folder.path());
    assert!(triage.learn_from(triage.embedder().unwrap(), "letters").await);
    model.0.renamed.store(true, Ordering::SeqCst);
    let by_words = triage.judge("where is my order", None);
    let found = triage.classify("where is my order", &Cause::start()).await;
    assert_eq!(found.confidence, by_words.confidence);
    assert!(!triage.learn_from(triage.embedder().unwrap(), "letters").await || triage.knows_meaning());
    assert!(triage.learn_from(triage.embedder().unwrap(), "letters 2").await);
    assert_eq!(triage.meaning().unwrap().model(), "letters 2");
}

#[tokio::test]
async fn people_get_what_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let triage = Triage::open(None, folder.path());
    for (text, expected) in [
        ("I want to file a complaint", ChatRoute::Agent),
        ("my payment failed", ChatRoute::Agent),
        ("let me talk to a human", ChatRoute::Agent),
        ("You are liars and thieves, this is disgusting", ChatRoute::Agent),
        ("where is my order", ChatRoute::Bot),
        ("zxqv wvut", ChatRoute::Bot),
    ] {
        assert_eq!(triage.classify(text, &Cause::start()).await.route(), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_gets_an_answer(text: String) {
        static TRIAGE: std::sync::LazyLock<Triage> =
            std::sync::LazyLock::new(|| Triage::open(None, Path::new("/nowhere")));
        let found = TRIAGE.judge(&text, None);
        proptest::prop_assert!((0.0..=1.0).contains(&found.confidence));
    }
}
