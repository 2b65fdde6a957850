//! What customers get to read when a language model writes, and when it lies.

use std::sync::{Arc, Mutex};

use bookworm_contracts::grpc::{
    Edge,
    ai::{
        CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, StatusRequest, StatusResponse,
        ai_client::AiClient,
        ai_server::{Ai, AiServer},
    },
    methods,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::{tests::Talk, *};

/// Sends these pieces; an `Err` breaks off.
#[derive(Clone)]
struct Model {
    pieces: Vec<Result<String, ()>>,
    asked: Arc<Mutex<Vec<CompleteRequest>>>,
}

#[tonic::async_trait]
impl Ai for Model {
    type CompleteStream = BoxStream<'static, Result<CompleteChunk, Status>>;

    async fn complete(&self, request: Request<CompleteRequest>) -> Result<Response<Self::CompleteStream>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        if self.pieces.is_empty() {
            return Err(Status::unavailable("none"));
        }
        let pieces = self.pieces.clone().into_iter().map(|piece| match piece {
            Ok(text) => Ok(CompleteChunk { text }),
            Err(()) => Err(Status::unavailable("broken off")),
        });
        Ok(Response::new(stream::iter(pieces).boxed()))
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        Err(Status::unavailable("none"))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse::default()))
    }
}

impl Model {
    fn saying(pieces: &[Result<&str, ()>]) -> Self {
        let pieces = pieces.iter().map(|piece| piece.map(str::to_owned)).collect();
        Self { pieces, asked: Arc::default() }
    }

    fn client(&self) -> AiClient<Edge> {
        AiClient::new(Edge::local("test.ai", AiServer::new(self.clone()), methods::AI))
    }

    /// The reply to a question about an order, and what was shown while it was written.
    async fn reply_to(&self, text: &str) -> (Reply, String) {
        let talk = Talk::with(Some("ada"), Some(Writer::new(self.client())));
        let (draft, mut words) = mpsc::channel(64);
        let reply = talk.bot.answer(talk.turn(text), draft).await;
        let mut shown = String::new();
        while let Some(piece) = words.recv().await {
            shown.push_str(&piece);
        }
        (reply, shown)
    }
}

#[tokio::test]
async fn sentences_that_state_only_facts_are_used_word_for_word() {
    let model = Model::saying(&[
        Ok("Good news, "),
        Ok("[name2]! Order BW-7K3M-92QV is confirmed"),
        Ok(". We’ll email you "),
        Ok("when it ships."),
    ]);
    let (reply, shown) = model.reply_to("Hi, Ada here, ada@example.org: where is my order?").await;
    let text = "Good news, Ada! Order BW-7K3M-92QV is confirmed. We’ll email you when it ships.";
    assert!(reply.text.ends_with(text) && reply.text.starts_with("I’m a bot"), "{}", reply.text);
    assert_eq!(shown, reply.text, "what was streamed is what is stored");
    assert_eq!(reply.links.len(), 1, "links are ours to add");
}

#[tokio::test]
async fn personal_data_does_not_leave() {
    let model = Model::saying(&[Ok("x")]);
    let talk = "I'm Ada, ada@example.org, +44 20 7946 0958, 12 Old Mill Lane: where is my order?";
    model.reply_to(talk).await;
    let asked = model.asked.lock().unwrap().pop().unwrap();
    let all = format!("{} {}", asked.system, asked.prompt);
    for secret in ["Ada", "example.org", "7946", "Mill Lane"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert!(all.contains("BW-7K3M-92QV") && all.contains("Dune"), "the facts are there: {all}");
}

#[tokio::test]
async fn an_answer_with_other_facts_or_without_an_end_is_replaced_by_the_template() {
    for pieces in [
        &[Ok("Order BW-7K3M-92QV is confirmed. It arrives tomorrow. ")][..],
        &[Ok("Order BW-7K3M-92QV is confirmed; you owe us $5.00.")],
        &[Ok("Order BW-7K3M-92QV is confirmed. See http://evil.example")],
        &[Ok("Order BW-7K3M-92QV is confirmed. "), Err(())],
        &[Ok("")],
        &[],
        &[Ok("As an AI model I cannot help.")],
    ] {
        let (reply, shown) = Model::saying(pieces).reply_to("where is my order?").await;
        assert!(reply.text.contains("from 20 November 2026 (“Dune”) is confirmed. We’ll email you"), "{}", reply.text);
        for lie in ["tomorrow", "$5.00", "evil", "AI model"] {
            assert!(!shown.contains(lie), "shown while it was written: {shown}");
        }
    }
}

#[tokio::test]
async fn questions_that_need_a_yes_and_hand_overs_are_never_reworded() {
    let model = Model::saying(&[Ok("It is cancelled.")]);
    let (reply, shown) = model.reply_to("cancel my order").await;
    assert!(reply.text.contains("Shall I cancel it?") && shown.is_empty());
    let (reply, _) = model.reply_to("I want to make a complaint").await;
    assert!(reply.hand_over.is_some());
    assert!(model.asked.lock().unwrap().is_empty(), "it was not called");
}
