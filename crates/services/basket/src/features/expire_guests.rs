use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_loops::Loop;

use crate::{service::Baskets, store};

const EVERY: Duration = Duration::from_secs(60 * 60);
/// Deleted in one unit of work, so that shoppers never wait long for it.
const BATCH: i64 = 500;

/// Deletes forgotten baskets of guests, once an hour until `shutdown`.
pub(crate) fn every_hour(service: Arc<Baskets>) -> Loop {
    Loop::every("basket.guests", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = expire(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "forgotten baskets cannot be deleted");
            }
        }
    })
    .leader_only()
}

pub(crate) async fn expire(service: &Arc<Baskets>) -> Result<u64, DbError> {
    let before = service.now().minus(service.settings.guest_age());
    let mut deleted = 0;
    loop {
        let batch =
            service.db.transact(move |tx| Box::pin(async move { store::expire(tx, before, BATCH).await })).await?;
        deleted += batch;
        if batch < BATCH as u64 {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "forgotten baskets of guests deleted");
        metrics::counter!("basket_expired_total").increment(deleted);
    }
    Ok(deleted)
}
