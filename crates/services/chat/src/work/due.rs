//! Answers that the bot still owes: after a restart, or because its customer went away before it could ask the shop.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::Chat;

const EVERY: Duration = Duration::from_secs(2);
const BATCH: usize = 500;

/// Looks for them until `shutdown`; then waits for those that are being given.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    loop {
        match chat.store.due(chat.clock.now(), BATCH).await {
            Ok(due) => due.iter().for_each(|conversation| chat.answer_what_is_due(conversation.id)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "answers that are due cannot be looked for");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => break,
        }
    }
    chat.tasks.close();
    chat.tasks.wait().await;
}
