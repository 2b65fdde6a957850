//! Limits how often one connection may call.

use bookworm_kernel::Timestamp;

/// A bucket of tokens: some at one go, then a steady trickle.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    capacity: f64,
    per_second: f64,
    left: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(capacity: u32, per_minute: u32, now: Timestamp) -> Self {
        let capacity = f64::from(capacity);
        Self { capacity, per_second: f64::from(per_minute) / 60.0, left: capacity, at: now }
    }

    /// Takes one; `false` when there is none.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * self.per_second).min(self.capacity);
        self.at = self.at.max(now);
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn thirty_at_one_go_then_one_a_second() {
        let start = Timestamp::from_micros(0);
        let mut bucket = Bucket::new(30, 60, start);
        assert!((0..30).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
        assert!(!bucket.take(start.plus(Duration::from_millis(900))));
        assert!(bucket.take(start.plus(Duration::from_millis(1001))));
        assert!(!bucket.take(start.plus(Duration::from_millis(1500))));
        let later = start.plus(Duration::from_secs(3600));
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 30);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Timestamp::from_micros(10_000_000);
        let mut bucket = Bucket::new(1, 60, start);
        assert!(bucket.take(start));
        assert!(!bucket.take(Timestamp::from_micros(0)));
        assert!(!bucket.take(start), "the same second is not given twice");
    }
}
