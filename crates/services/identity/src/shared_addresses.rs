//! How often each client address has failed lately, counted by all processes of the role together. While they cannot be
//! asked each counts by itself ([`AddressLimit`](crate::domain::AddressLimit)).

use std::{error::Error, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use bookworm_resilience::{LimitsUnavailable, Rate, SharedLimits, Taken};

/// Failures of client addresses, by their fingerprints.
pub(crate) struct SharedAddresses {
    limits: Arc<dyn SharedLimits>,
    rate: Rate,
}

impl fmt::Debug for SharedAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAddresses").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl SharedAddresses {
    /// At most this many failures of an address in a minute, and as many at once.
    pub fn new(limits: Arc<dyn SharedLimits>, per_minute: u32) -> Self {
        // The configuration refuses zero.
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self { limits, rate: Rate { per_minute, burst: per_minute } }
    }

    /// Counts an attempt as failed until [`succeeded`](Self::succeeded). The error is the time to wait.
    pub async fn attempt(&self, client: &str) -> Result<(), Duration> {
        match self.limits.take(&[(key(client), self.rate)]).await {
            Ok(Taken::Granted { .. }) => Ok(()),
            Ok(Taken::Refused { wait, .. }) => Err(wait),
            Err(error) => {
                unshared(&error);
                Ok(())
            }
        }
    }

    /// The attempt was no guess.
    pub async fn succeeded(&self, client: &str) {
        if let Err(error) = self.limits.give_back(&key(client), self.rate).await {
            unshared(&error);
        }
    }
}

fn key(client: &str) -> String {
    format!("sign-in:{client}")
}

fn unshared(error: &LimitsUnavailable) {
    metrics::counter!("identity_limits_unshared_total").increment(1);
    tracing::debug!(error = error as &dyn Error, "this process's own count of failures is all there is");
}
