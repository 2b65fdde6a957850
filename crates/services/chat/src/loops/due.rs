//! Messages that still wait for the bot: after a restart, or because their customer went away before it could call the
//! shop.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::service::Chat;

const INTERVAL: Duration = Duration::from_secs(2);
const BATCH: usize = 500;

/// Has them answered until `shutdown`; then waits for the answers under way.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    loop {
        match chat.store.due(chat.clock.now(), BATCH).await {
            // The instance that has the customer answers, with their rights.
            Ok(due) => due
                .iter()
                .filter(|conversation| !chat.presence.customer_is_only_elsewhere(conversation.id))
                .for_each(|conversation| chat.answer_what_is_due(conversation.id)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "messages that wait for the bot cannot be read"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => break,
        }
    }
    chat.tasks.close();
    chat.tasks.wait().await;
}
