//! Whether a process wants to be left alone.

use axum::{Router, extract::State, routing::put};
use http::StatusCode;
use tokio::sync::watch;

/// Where a process of the fleet is told: `PUT` begins, `DELETE` ends it. Both answer 204.
pub const DRAIN: &str = "/fleet/drain";

/// Whether an operator asked others to leave this process alone. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Drain(watch::Sender<bool>);

impl Drain {
    /// Whether it is asked for now.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for, or no longer.
    pub async fn wait_until(&self, asked: bool) {
        // It does not fail: this is the sender.
        let _ = self.0.subscribe().wait_for(|now| *now == asked).await;
    }

    /// [`DRAIN`], for the internal listener.
    pub fn routes(&self) -> Router {
        let set = |asked: bool| {
            move |State(Self(drain)): State<Self>| async move {
                if drain.send_replace(asked) != asked {
                    tracing::info!(asked, "an operator drains this process, or takes it back");
                }
                StatusCode::NO_CONTENT
            }
        };
        Router::new().route(DRAIN, put(set(true)).delete(set(false))).with_state(self.clone())
    }
}
