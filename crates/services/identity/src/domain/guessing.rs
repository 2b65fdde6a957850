//! What slows down guessing passwords.
//!
//! Failures are counted for each pair of account and client address. After a few that cost nothing, the pair waits,
//! twice as long after each further failure, up to a limit. So a stranger who guesses slows down only their own
//! address: the owner signs in from theirs as ever, stays signed in everywhere by refresh tokens, which no failure
//! touches, and even behind the same address never waits longer than the limit. Addresses that do not exist are
//! counted like those that do, so that the answer reveals nothing.
//!
//! Who tries many accounts from one address meets the second limit: failures of an address in a minute, whatever the
//! account. An address is an IPv4 address or an IPv6 network of 64 bits, which is what one customer of a provider has.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use bookworm_http::ClientAddress;
use bookworm_kernel::Timestamp;

/// After this long without a failure, the failures of a pair are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);
/// How many addresses are remembered at once, at most: bounds the memory that an attacker can take.
const ADDRESSES: usize = 50_000;

/// How attempts are slowed down after failures: exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Failures of a pair before the first wait.
    pub free: u32,
    /// The first wait; it doubles with each further failure.
    pub base: Duration,
    /// The longest wait.
    pub longest: Duration,
}

/// The failures of one account from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    /// How many.
    pub count: u32,
    /// The last one.
    pub last_at: Timestamp,
}

impl Failures {
    /// How long to wait before the next attempt; `None` when it may be made now.
    pub fn wait(self, now: Timestamp, backoff: Backoff) -> Option<Duration> {
        if self.is_forgotten(now) || self.count < backoff.free {
            return None;
        }
        let doublings = (self.count - backoff.free).min(31);
        let delay = backoff.base.saturating_mul(1 << doublings).min(backoff.longest);
        delay.checked_sub(now.since(self.last_at)).filter(|rest| !rest.is_zero())
    }

    /// After one more attempt, which counts as failed until it succeeds: so that many at once gain nothing.
    pub fn after_attempt(before: Option<Self>, now: Timestamp) -> Self {
        let count = before.filter(|failures| !failures.is_forgotten(now)).map_or(0, |failures| failures.count);
        Self { count: count.saturating_add(1), last_at: now }
    }

    /// Failures that are older than this are forgotten.
    pub fn forgotten_before(now: Timestamp) -> Timestamp {
        now.minus(FORGOTTEN_AFTER)
    }

    fn is_forgotten(self, now: Timestamp) -> bool {
        self.last_at < Self::forgotten_before(now)
    }
}

/// Counts the failures of each address in the current minute. In memory: a restart forgives.
#[derive(Debug)]
pub(crate) struct AddressLimit {
    per_minute: u32,
    windows: HashMap<IpAddr, (Timestamp, u32)>,
}

impl AddressLimit {
    /// At most this many failures of an address in a minute.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, windows: HashMap::new() }
    }

    /// Counts an attempt as failed until [`AddressLimit::succeeded`]. Refuses it, uncounted, with the time to wait when
    /// the address has failed too often.
    pub fn attempt(&mut self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        if self.windows.len() >= ADDRESSES {
            self.windows.retain(|_, (start, _)| now.since(*start) < MINUTE);
        }
        if self.windows.len() >= ADDRESSES {
            self.windows.clear();
        }
        let (start, count) = self.windows.entry(ClientAddress(address).network()).or_insert((now, 0));
        if now.since(*start) >= MINUTE {
            (*start, *count) = (now, 0);
        }
        if *count >= self.per_minute {
            return Err(MINUTE.saturating_sub(now.since(*start)));
        }
        *count += 1;
        Ok(())
    }

    /// The attempt was no guess.
    pub fn succeeded(&mut self, address: IpAddr) {
        if let Some((_, count)) = self.windows.get_mut(&ClientAddress(address).network()) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { free: 5, base: Duration::from_secs(2), longest: Duration::from_secs(15 * 60) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn the_wait_doubles_up_to_the_limit() {
        let wait = |count| Failures { count, last_at: at(0) }.wait(at(0), BACKOFF).map(|wait| wait.as_secs());
        assert_eq!(wait(4), None);
        assert_eq!(wait(5), Some(2));
        assert_eq!(wait(6), Some(4));
        assert_eq!(wait(13), Some(512));
        assert_eq!(wait(14), Some(900));
        assert_eq!(wait(u32::MAX), Some(900));
        assert_eq!(Failures { count: 6, last_at: at(0) }.wait(at(4), BACKOFF), None);
    }

    #[test]
    fn a_day_without_failures_starts_anew() {
        let many = Failures { count: 50, last_at: at(0) };
        let later = at(24 * 60 * 60 + 1);
        assert_eq!(Failures::after_attempt(Some(many), later).count, 1);
        assert_eq!(Failures::after_attempt(Some(many), at(60)).count, 51);
    }

    #[test]
    fn an_address_is_limited_by_the_minute_and_success_is_no_guess() {
        let (mut limit, here) = (AddressLimit::new(2), "192.0.2.1".parse().unwrap());
        for _ in 0..10 {
            assert_eq!(limit.attempt(here, at(0)), Ok(()));
            limit.succeeded(here);
        }
        assert_eq!(limit.attempt(here, at(0)), Ok(()));
        assert_eq!(limit.attempt(here, at(10)), Ok(()));
        assert_eq!(limit.attempt(here, at(20)), Err(Duration::from_secs(40)));
        assert_eq!(limit.attempt("192.0.2.2".parse().unwrap(), at(20)), Ok(()));
        assert_eq!(limit.attempt(here, at(60)), Ok(()));
    }

    proptest! {
        #[test]
        fn nobody_waits_longer_than_the_limit(count in any::<u32>(), passed in 0_u64..100_000) {
            let wait = Failures { count, last_at: at(0) }.wait(at(passed), BACKOFF);
            prop_assert!(wait.is_none_or(|wait| wait <= BACKOFF.longest));
            prop_assert!(passed < 15 * 60 || wait.is_none());
        }
    }
}
