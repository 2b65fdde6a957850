//! Deletes what nobody needs any more.

use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_http::idempotency;
use bookworm_loops::Loop;

use crate::{
    service::Notification,
    store::{ledger, proofs},
};

const EVERY: Duration = Duration::from_secs(10 * 60);
/// A message to the shop is recognised when it comes again within this time.
const REPEATED_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Tidies until `shutdown`.
pub fn regularly(service: Arc<Notification>) -> Loop {
    Loop::every("notification.limits", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = tidy(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "what limits counted cannot be deleted");
            }
        }
    })
    .leader_only()
}

pub async fn tidy(service: &Notification) -> Result<u64, DbError> {
    let now = service.now();
    let forgotten = now.minus(REPEATED_WITHIN);
    service
        .db
        .transact(move |tx| {
            Box::pin(async move {
                let counted = ledger::prune(tx, now).await? + proofs::prune(tx, now).await?;
                Ok(counted + idempotency::prune(tx, forgotten).await?)
            })
        })
        .await
}
