use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use tokio_util::sync::CancellationToken;

use crate::{service::Ordering, store::orders};

/// Orders in one unit of work: few, so that checkouts do not wait for it.
const AT_ONCE: i64 = 100;
/// How often to look again: a process of the older release may still place orders while this one runs.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// Writes the search keys of orders that an older release placed, until `shutdown`.
pub(crate) async fn run(service: Arc<Ordering>, shutdown: CancellationToken) {
    loop {
        let written: Result<usize, DbError> =
            service.db.transact(|tx| Box::pin(async move { orders::write_missing_keys(tx, AT_ONCE).await })).await;
        let pause = match written {
            Ok(0) => EVERY,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "older orders cannot be made searchable yet");
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
