use std::{error::Error, fmt, time::Duration};

use tokio::time::Instant;

/// Between attempts: from the first pause to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the log hears that a process still waits.
const SAY_EACH: Duration = Duration::from_secs(30);

/// Waits, while a process starts, for a server that it cannot do without: it may be starting too, or be slow. All attempts
/// together have one bound.
#[derive(Debug)]
pub struct StartWait {
    server: String,
    total: Duration,
    until: Instant,
    said: Option<Instant>,
}

impl StartWait {
    /// For the server that the log calls `server`, for `total` from now on.
    #[must_use]
    pub fn new(server: impl Into<String>, total: Duration) -> Self {
        Self { server: server.into(), total, until: Instant::now() + total, said: None }
    }

    /// How long it waits from its beginning to its end.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Makes attempts until one succeeds, one fails for a reason that waiting does not mend, or the time is over. Each is
    /// told how long it may take: what is left. The log says why when the wait begins, and each 30 s.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn until<T, E, F>(
        &mut self,
        mut attempt: impl FnMut(Duration) -> F,
        waiting_may_mend: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: Error,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match attempt(self.left()).await {
                Ok(there) => {
                    if self.said.take().is_some() {
                        tracing::info!("{} answers: the start goes on", self.server);
                    }
                    return Ok(there);
                }
                Err(error) => error,
            };
            if !waiting_may_mend(&error) || self.left().is_zero() {
                return Err(error);
            }
            self.say(&error);
            tokio::time::sleep(pause.min(self.left())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn say(&mut self, error: &dyn Error) {
        if self.said.is_some_and(|said| said.elapsed() < SAY_EACH) {
            return;
        }
        self.said = Some(Instant::now());
        let seconds = self.left().as_secs();
        tracing::warn!(why = %Chain(error), seconds, "the start waits for {}", self.server);
    }
}

/// An error with what led to it, in one line.
struct Chain<'e>(&'e dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    enum Fault {
        #[error("away")]
        Away,
        #[error("wrong password")]
        Refused,
    }

    fn is_away(fault: &Fault) -> bool {
        *fault == Fault::Away
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_later_is_waited_for() {
        let (began, tries) = (Instant::now(), Cell::new(0));
        let mut wait = StartWait::new("the server", Duration::from_secs(60));
        let attempt = |_| {
            tries.set(tries.get() + 1);
            async move { if began.elapsed() < Duration::from_secs(20) { Err(Fault::Away) } else { Ok(()) } }
        };
        assert_eq!(wait.until(attempt, is_away).await, Ok(()));
        assert!((20..22).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!((20..30).contains(&tries.get()), "with growing pauses: {}", tries.get());
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_together_have_one_bound() {
        let began = Instant::now();
        let mut wait = StartWait::new("the server", Duration::from_secs(60));
        // Each takes as long as it is let: one after the other of several things at the same server.
        let silent = |left: Duration| async move {
            tokio::time::sleep(left.min(Duration::from_secs(7))).await;
            Err::<(), _>(Fault::Away)
        };
        assert_eq!(wait.until(silent, is_away).await, Err(Fault::Away));
        assert_eq!(began.elapsed(), Duration::from_secs(60));
        assert_eq!(wait.until(silent, is_away).await, Err(Fault::Away));
        assert_eq!(began.elapsed(), Duration::from_secs(60), "the next one has no time of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_told_at_once() {
        let began = Instant::now();
        let mut wait = StartWait::new("the server", Duration::from_secs(60));
        let refused = wait.until(|_| async { Err::<(), _>(Fault::Refused) }, is_away).await;
        assert_eq!((refused, began.elapsed()), (Err(Fault::Refused), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_hears_of_it_at_the_beginning_and_then_seldom() {
        let mut wait = StartWait::new("the server", Duration::from_secs(600));
        let mut said = 0;
        for _ in 0..600 {
            let before = wait.said;
            wait.say(&Fault::Away);
            said += u32::from(wait.said != before);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, 20);
    }
}
