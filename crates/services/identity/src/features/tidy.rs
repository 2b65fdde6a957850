use std::time::Duration;

use bookworm_db::DbError;
use tokio_util::sync::CancellationToken;

use crate::{IdentityService, domain::Failures, store};

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Deletes what nobody needs any more, each hour until `shutdown`.
pub(crate) async fn run(service: IdentityService, shutdown: CancellationToken) {
    loop {
        if let Err(error) = tidy(&service).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "old sessions cannot be deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

pub(crate) async fn tidy(service: &IdentityService) -> Result<u64, DbError> {
    let now = service.now();
    service
        .db()
        .transact(move |tx| {
            Box::pin(async move {
                let gone = store::prune(tx, now).await?
                    + store::prune_resets(tx, now).await?
                    + store::prune_confirmations(tx, now).await?;
                Ok(gone + store::forget_attempts(tx, Failures::forgotten_before(now)).await?)
            })
        })
        .await
}
