use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::IdentityService;

const EVERY: Duration = Duration::from_secs(60);

/// Looks after the signing keys, each minute until `shutdown`.
pub(crate) async fn run(service: IdentityService, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        if let Err(error) = service.rotate_keys().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the signing keys cannot be looked after");
        }
    }
}
