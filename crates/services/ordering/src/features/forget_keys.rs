use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_http::idempotency;
use bookworm_loops::Loop;

use crate::{service::Ordering, store::order_ids};

const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a key is stored. Afterwards the same key would order again; no client repeats a request for so long.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Forgets old idempotency keys, and ids of orders, once an hour until `shutdown`.
pub(crate) fn every_hour(service: Arc<Ordering>) -> Loop {
    Loop::every("ordering.keys", EVERY, move || {
        let (db, before) = (service.db.clone(), service.now().minus(REMEMBERED));
        async move {
            let forgotten: Result<u64, DbError> = db
                .transact(move |tx| {
                    Box::pin(
                        async move { Ok(idempotency::prune(tx, before).await? + order_ids::prune(tx, before).await?) },
                    )
                })
                .await;
            if let Err(error) = forgotten {
                tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys cannot be forgotten");
            }
        }
    })
    .leader_only()
}
