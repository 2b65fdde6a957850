use std::{future::Future, time::Duration};

use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Deadline;
}

/// When whoever waits for the answer stops waiting. Work that cannot end before is not worth beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that is this long away; a day where it would be beyond what a clock counts.
    #[must_use]
    pub fn after(left: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(left).unwrap_or_else(|| now + Duration::from_secs(24 * 60 * 60)))
    }

    /// The deadline of the task that this runs in. `None` where nobody set one, and in tasks that were spawned.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|deadline| *deadline).ok()
    }

    /// Runs a future so that [`Deadline::current`] returns this in it, or what is current already where that is earlier.
    /// It sets no limit by itself.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let earlier = Self::current().map_or(self, |current| current.min(self));
        CURRENT.scope(earlier, future)
    }

    /// How much time is left; zero when it is over.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}
