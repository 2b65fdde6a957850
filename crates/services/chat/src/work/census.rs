//! How many conversations stand where, for `/metrics`.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::rest::chat::ConversationStatus;
use tokio_util::sync::CancellationToken;

use crate::Chat;

const EVERY: Duration = Duration::from_secs(10);

/// Counts until `shutdown`.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    use ConversationStatus::{Bot, Closed, Queued, Resolved, WithAgent};
    let names =
        [(Bot, "bot"), (Queued, "queued"), (WithAgent, "with_agent"), (Resolved, "resolved"), (Closed, "closed")];
    loop {
        match chat.store.census().await {
            Ok(census) => {
                for (status, name) in names {
                    let count = census.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count);
                    metrics::gauge!("chat_conversations", "status" => name).set(count as f64);
                }
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "conversations were not counted"),
        }
        metrics::gauge!("chat_people_connected").set(chat.presence.connections() as f64);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
