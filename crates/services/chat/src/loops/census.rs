//! The number of conversations by status, for `/metrics`.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{domain::conversation::ConversationStatus, service::Chat};

/// How often it is counted.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts until `shutdown`.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    loop {
        match chat.store.census().await {
            Ok(census) => {
                for status in ConversationStatus::ALL {
                    let count = census.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count);
                    metrics::gauge!("chat_conversations", "status" => status.name()).set(count as f64);
                }
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "conversations were not counted"),
        }
        metrics::gauge!("chat_people_connected").set(chat.presence.connections() as f64);
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
