use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_loops::Loop;

use crate::{domain::Failures, service::Identity, store};

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Deletes expired sessions, links and failed attempts each hour.
pub(crate) fn every_hour(service: Arc<Identity>) -> Loop {
    Loop::every("identity.sessions", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = tidy(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old sessions cannot be deleted");
            }
        }
    })
    .leader_only()
}

pub(crate) async fn tidy(service: &Identity) -> Result<u64, DbError> {
    let now = service.now();
    service
        .db
        .transact(move |tx| {
            Box::pin(async move {
                let gone = store::prune(tx, now).await? + store::prune_links(tx, now).await?;
                Ok(gone + store::forget_attempts(tx, Failures::forgotten_before(now)).await?)
            })
        })
        .await
}
