//! What is known of one instance from the calls that were made to it.

use std::time::Duration;

use bookworm_resilience::Window;
use tokio::time::Instant;

use super::Outcome;

/// So many failures in a row eject an instance.
const FAILURES_IN_A_ROW: u32 = 5;
/// Over this time failures are counted; half of at least so many calls eject an instance.
const WINDOW: Duration = Duration::from_secs(30);
const LEAST_CALLS: u32 = 10;
const FAILURE_RATE: f64 = 0.5;
/// An ejection lasts so long times the number of ejections in a row.
const EJECTED_FOR: Duration = Duration::from_secs(5);
/// The longest ejection; and for so long an instance must do well after one for the next to be short again.
const EJECTED_AT_MOST: Duration = Duration::from_secs(60);
/// In this time a latency loses two thirds of its weight.
const DECAY: Duration = Duration::from_secs(10);
/// What is assumed of an instance that was never asked.
const UNKNOWN_LATENCY: Duration = Duration::from_millis(10);
/// The shortest latency: among idle instances the calls under way still count.
const SHORTEST_LATENCY: f64 = 1e-6;
/// A failure counts as a call that took so many times as long as usual, up to a limit: a connection that is refused at
/// once is no fast answer.
const FAILURE_FACTOR: f64 = 3.0;
const FAILURE_LATENCY_AT_MOST: f64 = 1.0;

/// The peak of the latencies, which decays to their exponentially weighted mean: one slow answer is noticed at once and
/// forgotten slowly (Finagle's `PeakEwma`, as in `tower::load`).
#[derive(Debug)]
struct PeakLatency {
    seconds: f64,
    at: Instant,
}

impl PeakLatency {
    fn unknown() -> Self {
        Self { seconds: UNKNOWN_LATENCY.as_secs_f64(), at: Instant::now() }
    }

    fn observe(&mut self, latency: Duration) {
        let (latency, rest) = (latency.as_secs_f64(), self.weight());
        let before = self.seconds;
        self.seconds = if latency > before { latency } else { before * rest + latency * (1.0 - rest) };
        self.at = Instant::now();
    }

    /// Falls while nobody asks, so that a slow instance is tried again.
    fn now(&self) -> f64 {
        (self.seconds * self.weight()).max(SHORTEST_LATENCY)
    }

    /// What is left of the weight of what was observed last.
    fn weight(&self) -> f64 {
        (-self.at.elapsed().as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

#[derive(Debug)]
pub(super) struct Record {
    pending: u32,
    latency: PeakLatency,
    failures_in_a_row: u32,
    /// Calls, and which of them failed.
    calls: Window,
    /// Ejections in a row.
    ejections: u32,
    ejected_until: Option<Instant>,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            pending: 0,
            latency: PeakLatency::unknown(),
            failures_in_a_row: 0,
            calls: Window::new(WINDOW),
            ejections: 0,
            ejected_until: None,
        }
    }

    /// How much work it has before it would answer one more call, in seconds.
    pub(super) fn load(&self) -> f64 {
        f64::from(self.pending + 1) * self.latency.now()
    }

    pub(super) fn pending(&self) -> u32 {
        self.pending
    }

    /// In seconds.
    pub(super) fn latency(&self) -> f64 {
        self.latency.now()
    }

    pub(super) fn begin(&mut self) {
        self.pending += 1;
    }

    /// A call ended after `took`. Returns whether the instance should be ejected.
    pub(super) fn end(&mut self, took: Duration, outcome: Option<Outcome>) -> bool {
        self.pending -= 1;
        match outcome {
            Some(Outcome::Answered) => {
                self.latency.observe(took);
                self.failures_in_a_row = 0;
                self.calls.add(false);
                false
            }
            Some(Outcome::Failed) => {
                let counts_as = (self.latency.now() * FAILURE_FACTOR).min(FAILURE_LATENCY_AT_MOST);
                self.latency.observe(took.max(Duration::from_secs_f64(counts_as)));
                self.failures_in_a_row += 1;
                self.calls.add(true);
                let counts = self.calls.counts();
                self.failures_in_a_row >= FAILURES_IN_A_ROW
                    || counts.all >= LEAST_CALLS && counts.rate() >= FAILURE_RATE
            }
            // Who asked has left, which says nothing of the instance: people leave pages, and a long poll is answered
            // late where all is well. It is neither good nor bad, but the answer would have taken longer than this.
            None => {
                if took.as_secs_f64() > self.latency.now() {
                    self.latency.observe(took);
                }
                false
            }
        }
    }

    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.ejected_until.filter(|until| *until > Instant::now())
    }

    pub(super) fn eject(&mut self) {
        let now = Instant::now();
        if self.ejected_until.is_some_and(|until| now.saturating_duration_since(until) >= EJECTED_AT_MOST) {
            self.ejections = 0;
        }
        self.ejections += 1;
        self.ejected_until = Some(now + (EJECTED_FOR * self.ejections).min(EJECTED_AT_MOST));
        self.failures_in_a_row = 0;
        self.calls = Window::new(WINDOW);
        // Its failures have been paid for: when it is back it gets calls at once.
        self.latency = PeakLatency::unknown();
    }

    /// Ends an ejection before its time.
    pub(super) fn take_back(&mut self) {
        self.ejected_until = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_the_answer_ejects_nobody_and_makes_nobody_look_fast() {
        let mut record = Record::new();
        let ends = |record: &mut Record, took: Duration, outcome| {
            record.begin();
            record.end(took, outcome)
        };
        assert!(!ends(&mut record, Duration::from_millis(200), Some(Outcome::Answered)));
        for _ in 0..100 {
            assert!(!ends(&mut record, Duration::from_millis(1), None));
        }
        assert!(record.latency() > 0.19, "those who left at once say nothing: {}", record.latency());
        for _ in 0..100 {
            assert!(!ends(&mut record, Duration::from_secs(3), None), "nor do those who left late");
        }
        assert!(record.latency() > 2.9, "but another one is asked first: {}", record.latency());
        // Nor do they hide that it fails.
        for n in 1..=FAILURES_IN_A_ROW {
            assert!(!ends(&mut record, Duration::from_secs(1), None));
            assert_eq!(ends(&mut record, Duration::from_secs(1), Some(Outcome::Failed)), n == FAILURES_IN_A_ROW);
        }
    }
}
