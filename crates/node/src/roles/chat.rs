use std::sync::Arc;

use bookworm_chat::{
    ChatService, Dependencies,
    bot::{Bot, Writer},
    store::ChatStore,
    triage::{Triage, embed::Models},
};
use bookworm_contracts::grpc::ai::ai_client::AiClient;
use bookworm_gateway::Note;

use crate::{
    clients::Clients,
    conversations,
    foundation::Foundation,
    part::{Part, Store},
    redis::Meeting,
};

pub async fn build(foundation: &Foundation, clients: &Clients<'_>) -> anyhow::Result<Part> {
    let settings = &foundation.settings.chat;
    // They classify messages by their meaning; without them the bot goes by words alone. Two edges, so that the work in
    // the background is no sign that questions fail.
    let models = clients.ai("chat.ai.messages").zip(clients.ai("chat.ai.background"));
    let models = models.map(|(messages, background)| Models { messages, background });
    // It puts answers into words; without it the bot uses its own.
    let writer = match foundation.settings.ai.chat_url {
        Some(_) => clients.ai("chat.ai.writer").map(|ai| Writer::new(AiClient::new(ai))),
        None => None,
    };
    let triage = Triage::open(models, &foundation.settings.data_dir.join("chat"));
    let policies = settings.policies_dir.clone().unwrap_or_else(|| foundation.settings.data_dir.join("policies"));
    let zone = foundation.settings.web.time_zone;
    let bot = Bot::new(triage, &policies, &settings.bot, writer, zone);
    let store = conversations::open(foundation).await?;
    // Instances of the role behave as one where they meet.
    let meeting = foundation.redis.as_ref().map_or_else(Meeting::alone, |redis| redis.meeting(ChatService::NAME));
    let service = ChatService::open(Dependencies {
        store: store.clone(),
        settings: settings.clone(),
        clock: foundation.clock.clone(),
        verifier: foundation.verifier.clone(),
        responder: Arc::new(bot.clone()),
        clients: bookworm_chat::Clients {
            basket: clients.basket("chat.basket")?,
            ordering: clients.ordering("chat.ordering")?,
            mail: clients.mailroom("chat.notification")?,
        },
        instance: foundation.fleet.tag(),
        backplane: meeting.backplane,
        roster: meeting.roster,
        leases: foundation.leases.clone(),
    })
    .await?;
    let mut loops = service.loops();
    loops.extend(store.loops());
    loops.extend(bot.loops());
    loops.extend(meeting.loops);
    let understands = bot.clone();
    let note: Note = Arc::new(move || match understands.triage().knows_meaning() {
        true => "ok".to_owned(),
        false => "the chat's bot goes by words alone".to_owned(),
    });
    Ok(Part {
        api: service.api().merge(bookworm_chat::bot_api(&bot)),
        others: service.hub(),
        stores: vec![part(store)],
        notes: vec![("chat_bot", note)],
        consumers: service.consumers(),
        loops,
        on_api: vec![Box::new(move |api| bot.connect(api))],
        on_stop: vec![Box::pin(async move { service.shutdown().await })],
        ..Part::default()
    })
}

/// The store as the process sees it.
fn part(store: Arc<dyn ChatStore>) -> Store {
    let checked = store.clone();
    Store {
        name: store.name().to_owned(),
        check: Arc::new(move || {
            let store = checked.clone();
            Box::pin(async move { store.check().await })
        }),
        inbox: store.inbox(),
        outbox: Some(store.outbox()),
        close: Box::pin(async move { store.close().await }),
    }
}
