use std::sync::Arc;

use bookworm_chat::{
    ChatService, Clients, Needs,
    bot::{Bot, Writer},
    triage::{Triage, embed::Models},
};
use bookworm_gateway::Note;

use crate::{
    clients,
    foundation::Foundation,
    part::{Part, Store},
};

/// `models` understand messages by their meaning; without them the bot goes by words alone. `writer` chooses words; without
/// it the bot says its own.
pub async fn build(
    foundation: &Foundation,
    models: Option<Models>,
    writer: Option<Writer>,
    basket: clients::Basket,
    ordering: clients::Ordering,
    mail: clients::Mailroom,
) -> anyhow::Result<Part> {
    let settings = &foundation.settings.chat;
    let triage = Triage::open(models, &foundation.settings.data_dir.join("chat"));
    let policies = settings.policies_dir.clone().unwrap_or_else(|| foundation.settings.data_dir.join("policies"));
    let zone = foundation.settings.web.time_zone;
    let bot = Bot::new(triage, &policies, &settings.bot, writer, zone);
    let needs = Needs {
        settings: settings.clone(),
        clock: foundation.clock.clone(),
        verifier: foundation.verifier.clone(),
        responder: Arc::new(bot.clone()),
        clients: Clients { basket, ordering, mail },
    };
    let service = ChatService::open(foundation.inventory.database(ChatService::NAME).await?, needs).await?;
    let mut loops = service.loops();
    loops.extend(bot.loops());
    let understands = bot.clone();
    let note: Note = Arc::new(move || match understands.triage().knows_meaning() {
        true => "ok".to_owned(),
        false => "the chat's bot goes by words alone".to_owned(),
    });
    Ok(Part {
        api: service.api().merge(bot.api()),
        others: service.hub(),
        stores: vec![Store::with_inbox(service.db()).and_outbox(service.outbox().source(service.db()))],
        notes: vec![("chat_bot", note)],
        loops,
        on_api: vec![Box::new(move |api| bot.connect(api))],
        on_stop: vec![Box::pin(async move { service.shutdown().await })],
        ..Part::default()
    })
}
