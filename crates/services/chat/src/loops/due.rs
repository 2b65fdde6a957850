//! Messages that still wait for the bot: after a restart, or because their customer went away before it could call the
//! shop.

use std::{sync::Arc, time::Duration};

use bookworm_resilience::{Note, Outage};
use tokio_util::sync::CancellationToken;

use crate::{service::Chat, store::StoreError};

const INTERVAL: Duration = Duration::from_secs(2);
const BATCH: usize = 500;

/// Has them answered until `shutdown`; then waits for the answers under way.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    let outage = Outage::default();
    loop {
        let due = chat.store.due(chat.clock.now(), BATCH).await;
        note(&outage, due.as_ref().err());
        if let Ok(due) = due {
            due.iter()
                .filter(|conversation| chat.takes_the_turn(conversation))
                .for_each(|conversation| chat.answer_what_is_due(conversation.id));
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => break,
        }
    }
    chat.tasks.close();
    chat.tasks.wait().await;
}

/// Says once that the store does not answer, and when it does again.
fn note(outage: &Outage, error: Option<&StoreError>) {
    match error.map_or_else(|| outage.answered(), |_| outage.failed()) {
        Some(Note::Began | Note::GoesOn { .. }) => {
            let error = error.map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, "messages that wait for the bot cannot be read");
        }
        Some(Note::Ended { failed, .. }) => {
            tracing::info!(failed, "messages that wait for the bot can be read again");
        }
        None => {}
    }
}
