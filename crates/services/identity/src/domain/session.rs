//! Sessions and their refresh tokens (RFC 9700, 4.14.2).
//!
//! A session is a family of refresh tokens: each is good for one use, and its use makes the next one. A token that
//! comes again has been copied, so the session ends for the thief and the owner alike. But two tabs that refresh at
//! once, or an answer that got lost, look the same: for a short overlap after its first use a token is accepted again
//! and gets a token of its own in the same family.

use std::time::Duration;

use bookworm_kernel::Timestamp;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionRules {
    /// A refresh token that is not used for so long is worth nothing.
    pub unused: Duration,
    /// After so long one has to sign in again, however often it was used.
    pub longest: Duration,
    /// For so long after its use a token is accepted again.
    pub overlap: Duration,
}

impl SessionRules {
    /// Until when a refresh token made now is good.
    pub fn expires_at(&self, session_started: Timestamp, now: Timestamp) -> Timestamp {
        now.plus(self.unused).min(session_started.plus(self.longest))
    }
}

/// A refresh token that was presented, as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presented {
    /// When it was first used.
    pub used_at: Option<Timestamp>,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// Whether its session was ended.
    pub ended: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its first use: make the next token.
    Rotate,
    /// Used a moment ago: make one more token.
    Repeat,
    /// Used before: it has been copied. End the session.
    Reused,
    /// Expired, or of a session that has ended.
    Worthless,
}

impl Presented {
    /// Judges the token.
    pub fn judge(&self, now: Timestamp, overlap: Duration) -> Verdict {
        if self.ended {
            return Verdict::Worthless;
        }
        match self.used_at {
            Some(used) if now.since(used) > overlap => Verdict::Reused,
            _ if self.expires_at <= now => Verdict::Worthless,
            Some(_) => Verdict::Repeat,
            None => Verdict::Rotate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_token_is_good_for_one_use_and_a_moment() {
        let overlap = Duration::from_secs(30);
        let fresh = Presented { used_at: None, expires_at: at(1000), ended: false };
        let used = Presented { used_at: Some(at(0)), ..fresh };
        assert_eq!(fresh.judge(at(999), overlap), Verdict::Rotate);
        assert_eq!(fresh.judge(at(1000), overlap), Verdict::Worthless);
        assert_eq!(used.judge(at(30), overlap), Verdict::Repeat);
        assert_eq!(used.judge(at(31), overlap), Verdict::Reused);
        assert_eq!(used.judge(at(2000), overlap), Verdict::Reused, "an expired token may be a stolen one all the same");
        assert_eq!(Presented { ended: true, ..used }.judge(at(31), overlap), Verdict::Worthless);
        assert_eq!(used.judge(at(1), Duration::ZERO), Verdict::Reused);
    }

    #[test]
    fn a_session_ends_in_the_end() {
        let rules = SessionRules {
            unused: Duration::from_secs(100),
            longest: Duration::from_secs(150),
            overlap: Duration::from_secs(30),
        };
        assert_eq!(rules.expires_at(at(0), at(0)), at(100));
        assert_eq!(rules.expires_at(at(0), at(90)), at(150));
    }
}
