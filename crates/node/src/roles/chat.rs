use std::sync::Arc;

use bookworm_chat::{
    ChatService, Clients, Dependencies,
    bot::{Bot, Writer},
    store::{ChatStore, SqlStore},
    triage::{Triage, embed::Models},
};
use bookworm_gateway::Note;

use crate::{
    clients,
    foundation::Foundation,
    part::{Part, Store},
};

/// `models` classify messages by their meaning; without them the bot goes by words alone. `writer` puts answers into words;
/// without it the bot uses its own.
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
    // The one place that chooses the store.
    let db = foundation.inventory.database(ChatService::NAME).await?;
    let store: Arc<dyn ChatStore> = Arc::new(SqlStore::open(db, foundation.clock.clone()).await?);
    let service = ChatService::open(Dependencies {
        store: store.clone(),
        settings: settings.clone(),
        clock: foundation.clock.clone(),
        verifier: foundation.verifier.clone(),
        responder: Arc::new(bot.clone()),
        clients: Clients { basket, ordering, mail },
    })
    .await?;
    let mut loops = service.loops();
    loops.extend(bot.loops());
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
