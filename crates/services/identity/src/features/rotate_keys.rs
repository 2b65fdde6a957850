use std::time::Duration;

use bookworm_loops::Loop;

use crate::IdentityService;

const EVERY: Duration = Duration::from_secs(60);

/// Looks after the signing keys, each minute until `shutdown`.
pub(crate) fn every_minute(service: IdentityService) -> Loop {
    Loop::every("identity.keys", EVERY, move || {
        let service = service.clone();
        async move {
            if let Err(error) = service.rotate_keys().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the signing keys cannot be rotated");
            }
        }
    })
}
