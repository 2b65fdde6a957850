use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How long a client may keep the other end waiting: at most this at one go.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Below this many bytes a second, patience runs out; at or above it does not.
pub const SLOWEST: u64 = 1024;

/// A minimum rate. Waiting uses patience up, bytes that move give it back.
#[derive(Debug)]
pub struct Pace {
    left: Patience,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub fn new() -> Self {
        Self { left: Patience(PATIENCE), waiting: None }
    }

    /// Nothing moves now. Ready: it took too long.
    pub fn waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left.0;
        if left.is_zero() {
            return Poll::Ready(());
        }
        let (_, timer) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        timer.as_mut().poll(cx)
    }

    /// So many bytes moved, at last or at once.
    pub fn moves(&mut self, bytes: usize) {
        let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        self.left.count(waited, bytes);
    }

    /// From now on there is at most this much patience.
    pub fn hurry(&mut self, left: Duration) {
        self.moves(0);
        self.left.0 = self.left.0.min(left);
    }
}

/// How long the client may still be waited for.
#[derive(Debug)]
struct Patience(Duration);

impl Patience {
    /// So many bytes came after so long: a second is given back for each [`SLOWEST`] of them.
    fn count(&mut self, waited: Duration, bytes: usize) {
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1000) / SLOWEST);
        self.0 = self.0.saturating_sub(waited).saturating_add(earned).min(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// For how many seconds `bytes` may come every `pause` seconds; an hour at most.
    fn lasts(bytes: usize, pause: f64) -> u64 {
        let (pause, mut patience, mut passed) = (Duration::from_secs_f64(pause), Patience(PATIENCE), Duration::ZERO);
        while passed < Duration::from_secs(3600) {
            if pause >= patience.0 {
                return (passed + patience.0).as_secs();
            }
            passed += pause;
            patience.count(pause, bytes);
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
    async fn patience_ends() {
        let mut pace = Pace::new();
        pace.hurry(Duration::from_millis(1));
        poll_fn(|cx| pace.waits(cx)).await;
        pace.hurry(Duration::from_secs(1));
        poll_fn(|cx| pace.waits(cx)).await;
        assert_eq!(pace.left.0, Duration::ZERO, "a longer hurry gives nothing back");
    }
}
