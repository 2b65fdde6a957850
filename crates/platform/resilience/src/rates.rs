use std::{error::Error, num::NonZeroU32, time::Duration};

use async_trait::async_trait;

/// How often something may happen: so many times a minute, of which some may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_minute: NonZeroU32,
    /// At once, after a pause that was long enough.
    pub burst: NonZeroU32,
}

impl Rate {
    /// The time after which one more may happen.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_secs(60) / self.per_minute.get()
    }
}

/// What came of taking one from each of several limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may happen.
    Granted {
        /// How many more may at once, by the last limit.
        left: u32,
    },
    /// It may not.
    Refused {
        /// Which limit is used up, from 0. The ones before it have counted it.
        limit: usize,
        /// How long to wait.
        wait: Duration,
    },
}

/// The limits cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the shared limits do not answer")]
pub struct LimitsUnavailable(#[source] pub Box<dyn Error + Send + Sync>);

/// Limits that several processes share: the generic cell rate algorithm for each key. A process that cannot ask them goes
/// on with its own.
#[async_trait]
pub trait SharedLimits: Send + Sync + 'static {
    /// Takes one from each of these, in order, until one is used up.
    ///
    /// # Errors
    /// When they cannot be asked within the time that the implementation has for it.
    async fn take(&self, limits: &[(String, Rate)]) -> Result<Taken, LimitsUnavailable>;

    /// Gives one back.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    async fn give_back(&self, key: &str, rate: Rate) -> Result<(), LimitsUnavailable>;
}
