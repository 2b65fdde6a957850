use std::sync::Arc;

use async_trait::async_trait;
use bookworm_chat::{
    ChatService, Clients, Needs,
    bot::{HandOver, Reason, Reply, Responder, Skill, Turn},
};
use tokio::sync::mpsc;

use crate::{
    foundation::Foundation,
    part::Part,
    roles::{basket, ordering},
};

pub async fn build(
    foundation: &Foundation,
    basket: basket::Client,
    ordering: ordering::Client,
) -> anyhow::Result<Part> {
    let needs = Needs {
        settings: foundation.settings.chat.clone(),
        clock: foundation.clock.clone(),
        verifier: foundation.verifier.clone(),
        responder: Arc::new(Reception),
        clients: Clients { basket, ordering },
    };
    let service = ChatService::open(foundation.databases.open(ChatService::NAME).await?, needs).await?;
    let part = Part {
        api: service.api(),
        others: service.hub(),
        dbs: vec![service.db().clone()],
        outboxes: vec![(service.db().clone(), service.outbox().clone())],
        workers: service.workers(&foundation.stop_work),
        on_stop: vec![Box::pin(async move { service.shutdown().await })],
        ..Part::default()
    };
    Ok(part)
}

/// Passes everybody on to a person.
struct Reception;

#[async_trait]
impl Responder for Reception {
    async fn answer(&self, turn: Turn, _: mpsc::Sender<String>) -> Reply {
        Reply {
            text: "I am a bot, and pass you on to a person.".to_owned(),
            links: Vec::new(),
            suggestions: Vec::new(),
            intent: None,
            hand_over: Some(HandOver { reason: Reason::BeyondTheBot, skill: Skill::General }),
            memory: turn.memory,
        }
    }
}
