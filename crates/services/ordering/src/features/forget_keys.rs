use std::time::Duration;

use bookworm_db::DbError;
use bookworm_http::idempotency;
use tokio_util::sync::CancellationToken;

use crate::{OrderingService, store::order_ids};

const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a key is remembered. Afterwards the same key would order again; no client repeats a request for so long.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Forgets old idempotency keys, and ids of orders, once an hour until `shutdown`.
pub(crate) async fn run(service: OrderingService, shutdown: CancellationToken) {
    loop {
        let before = service.now().minus(REMEMBERED);
        let forgotten: Result<u64, DbError> = service
            .0
            .db
            .transact(move |tx| {
                Box::pin(async move { Ok(idempotency::prune(tx, before).await? + order_ids::prune(tx, before).await?) })
            })
            .await;
        if let Err(error) = forgotten {
            tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys cannot be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
