use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// The budget for stalls: how long nothing may move, at one go and on the whole.
pub const STALL_BUDGET: Duration = Duration::from_secs(10);
/// Bytes a second: below this rate the budget is used up in the end, at or above it never.
pub const MIN_RATE: u64 = 1024;

/// Enforces a minimum rate: stalls use the budget up, bytes that move give it back.
#[derive(Debug)]
pub struct StallTimer {
    budget: Budget,
    stalled: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl StallTimer {
    pub fn new() -> Self {
        Self { budget: Budget(STALL_BUDGET), stalled: None }
    }

    /// Nothing moves now. Ready: the budget is used up.
    pub fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.budget.0;
        if left.is_zero() {
            return Poll::Ready(());
        }
        let (_, timer) = self.stalled.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        timer.as_mut().poll(cx)
    }

    /// So many bytes moved, after a stall or without one.
    pub fn progress(&mut self, bytes: usize) {
        let waited = self.stalled.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        self.budget.count(waited, bytes);
    }

    /// From now on at most this much of the budget is left.
    pub fn shorten(&mut self, left: Duration) {
        self.progress(0);
        self.budget.0 = self.budget.0.min(left);
    }
}

/// How long the client may still stall.
#[derive(Debug)]
struct Budget(Duration);

impl Budget {
    /// So many bytes came after so long: a second is given back for each [`MIN_RATE`] of them.
    fn count(&mut self, waited: Duration, bytes: usize) {
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / MIN_RATE);
        self.0 = self.0.saturating_sub(waited).saturating_add(earned).min(STALL_BUDGET);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// For how many seconds `bytes` may come every `pause` seconds; an hour at most.
    fn lasts(bytes: usize, pause: f64) -> u64 {
        let (pause, mut budget, mut passed) = (Duration::from_secs_f64(pause), Budget(STALL_BUDGET), Duration::ZERO);
        while passed < Duration::from_secs(3600) {
            if pause >= budget.0 {
                return (passed + budget.0).as_secs();
            }
            passed += pause;
            budget.count(pause, bytes);
        }
        3600
    }

    #[test]
    fn a_trickle_ends_and_a_slow_line_does_not() {
        assert_eq!(lasts(0, 100.0), 10, "nothing at all");
        for (bytes, pause) in [(1, 1.0), (1, 9.0), (100, 0.5), (1000, 1.0), (8 * 1024, 9.5)] {
            let lasted = lasts(bytes, pause);
            assert!((10..600).contains(&lasted), "{bytes} bytes every {pause} s lasted {lasted} s");
        }
        for (bytes, pause) in [(1024, 1.0), (64 * 1024, 9.0), (205, 0.2)] {
            assert_eq!(lasts(bytes, pause), 3600, "{bytes} bytes every {pause} s");
        }
    }

    #[tokio::test]
    async fn the_budget_ends() {
        let mut timer = StallTimer::new();
        timer.shorten(Duration::from_millis(1));
        poll_fn(|cx| timer.poll_stalled(cx)).await;
        timer.shorten(Duration::from_secs(1));
        poll_fn(|cx| timer.poll_stalled(cx)).await;
        assert_eq!(timer.budget.0, Duration::ZERO, "a later, longer limit gives nothing back");
    }
}
