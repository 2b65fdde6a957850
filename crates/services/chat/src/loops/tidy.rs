//! Closes idle conversations, and deletes those past their retention.

use std::{sync::Arc, time::Duration};

use bookworm_http::{Problem, Result};
use bookworm_kernel::{Cause, ErrorCode, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{domain::conversation::ConversationStatus, service::Chat};

const INTERVAL: Duration = Duration::from_secs(10 * 60);
const BATCH: usize = 200;
const HOUR: u64 = 60 * 60;

/// Tidies every ten minutes until `shutdown`.
pub(super) async fn run(chat: Arc<Chat>, shutdown: CancellationToken) {
    loop {
        if let Err(problem) = tidy(&chat).await {
            tracing::warn!(%problem, "old conversations could not be closed or deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Tidies once.
pub(crate) async fn tidy(chat: &Chat) -> Result<()> {
    let (now, settings) = (chat.clock.now(), &chat.settings);
    let ago = |hours: u64| now.minus(Duration::from_secs(hours * HOUR));
    close(chat, ConversationStatus::Bot, ago(settings.idle_hours.into())).await?;
    close(chat, ConversationStatus::Resolved, ago(settings.resolved_hours.into())).await?;
    delete(chat, ago(u64::from(settings.retention_days) * 24)).await
}

async fn close(chat: &Chat, status: ConversationStatus, since: Timestamp) -> Result<()> {
    loop {
        let idle = chat.store.idle(status, since, BATCH).await?;
        for conversation in &idle {
            let now = chat.clock.now();
            let closed = chat.change(conversation.id, Cause::start(), |conversation| {
                let still = conversation.status == status && conversation.updated_at < since;
                Ok(if still { conversation.expire(now) } else { conversation.as_it_is() }.into())
            });
            unless_deleted(closed.await.map(drop).map_err(Problem::from))?;
        }
        if idle.len() < BATCH {
            return Ok(());
        }
    }
}

async fn delete(chat: &Chat, since: Timestamp) -> Result<()> {
    loop {
        let old = chat.store.idle(ConversationStatus::Closed, since, BATCH).await?;
        for conversation in &old {
            unless_deleted(chat.delete(conversation.id).await)?;
            metrics::counter!("chat_conversations_expired_total").increment(1);
        }
        if old.len() < BATCH {
            return Ok(());
        }
    }
}

/// Its customer may have deleted it meanwhile: that is no error.
fn unless_deleted(result: Result<()>) -> Result<()> {
    result.or_else(|problem| if problem.code() == ErrorCode::NotFound { Ok(()) } else { Err(problem) })
}
