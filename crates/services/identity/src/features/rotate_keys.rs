use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_loops::Loop;

use crate::service::Identity;

const EVERY: Duration = Duration::from_secs(60);

/// Rotates the signing keys when it is time; looks each minute.
pub(crate) fn every_minute(service: Arc<Identity>) -> Loop {
    Loop::every("identity.keys", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = rotate(&service).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the signing keys cannot be rotated");
            }
        }
    })
}

/// Makes a signing key when one is due, deletes those that are no longer needed, and loads what other processes made.
pub(crate) async fn rotate(service: &Identity) -> Result<(), DbError> {
    service.tokens.rotate(&service.db, service.now()).await
}
