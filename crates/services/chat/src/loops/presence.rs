//! Keeps what is stored and shown of people's presence true, on each instance for its own connections: another one may have
//! recorded an agent as gone who is here, and instances may crash.

use std::{sync::Arc, time::Duration};

use crate::service::Chat;

/// How often. Well within the grace period of a lost connection.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);

/// Records and announces once.
pub(super) async fn record(chat: Arc<Chat>) {
    match chat.record_connections().await {
        Ok(_) => chat.show_lost().await,
        Err(problem) => tracing::warn!(%problem, "the presence of agents was not recorded"),
    }
}
