use std::time::Duration;

use bookworm_db::DbError;
use bookworm_loops::Loop;

use crate::{IdentityService, domain::Failures, store};

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Deletes what nobody needs any more, each hour until `shutdown`.
pub(crate) fn every_hour(service: IdentityService) -> Loop {
    Loop::every("identity.sessions", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = tidy(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old sessions cannot be deleted");
            }
        }
    })
}

pub(crate) async fn tidy(service: &IdentityService) -> Result<u64, DbError> {
    let now = service.now();
    service
        .db()
        .transact(move |tx| {
            Box::pin(async move {
                let gone = store::prune(tx, now).await? + store::prune_links(tx, now).await?;
                Ok(gone + store::forget_attempts(tx, Failures::forgotten_before(now)).await?)
            })
        })
        .await
}
