use std::time::Duration;

use bookworm_kernel::Timestamp;
use ed25519_dalek::SigningKey as Ed25519;

/// A new key is published for this long before it signs, so that whoever checks tokens has fetched it by then.
const PUBLISHED_BEFORE_USE: Duration = Duration::from_secs(15 * 60);
/// How long a key signs.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How much longer than its last token a key is published: covers clocks that differ.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// A key that signs access tokens, or did.
#[derive(Clone)]
pub(crate) struct SigningKey {
    /// Counts keys; the first is 1.
    pub generation: i64,
    /// Names the key in a token's header.
    pub kid: String,
    /// The key itself.
    pub key: Ed25519,
    /// When it was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Every key that may still be needed, the oldest first; never empty.
#[derive(Debug, Clone)]
pub(crate) struct KeyRing(Vec<SigningKey>);

impl KeyRing {
    /// `None` when there is no key.
    pub fn new(mut keys: Vec<SigningKey>) -> Option<Self> {
        keys.sort_by_key(|key| key.generation);
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key that signs now: the newest that was published long enough, else the oldest.
    pub fn signer(&self, now: Timestamp) -> &SigningKey {
        self.0.iter().rev().find(|key| now.since(key.created_at) >= PUBLISHED_BEFORE_USE).unwrap_or(&self.0[0])
    }

    /// Every key with which a token may be checked.
    pub fn published(&self) -> &[SigningKey] {
        &self.0
    }

    /// The generation of the key that must be made now, if one must.
    pub fn wanted(&self, now: Timestamp) -> Option<i64> {
        let newest = self.0.last()?;
        (now.since(newest.created_at) >= LIFETIME).then_some(newest.generation + 1)
    }

    /// Keys up to this generation signed nothing that is still valid, when tokens live for `token_age`.
    pub fn outlived(&self, now: Timestamp, token_age: Duration) -> Option<i64> {
        let all_expired = PUBLISHED_BEFORE_USE + token_age + MARGIN;
        let successor = self.0.iter().rev().find(|key| now.since(key.created_at) >= all_expired)?;
        (successor.generation > self.0[0].generation).then_some(successor.generation - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn key(generation: i64, created_at: Timestamp) -> SigningKey {
        SigningKey { generation, kid: generation.to_string(), key: Ed25519::from_bytes(&[1; 32]), created_at }
    }

    #[test]
    fn a_key_signs_for_90_days_and_its_successor_is_published_first() {
        let token_age = Duration::from_secs(15 * 60);
        let ring = KeyRing::new(vec![key(1, at(0))]).unwrap();
        assert_eq!(ring.signer(at(0)).generation, 1, "the very first signs at once");
        assert_eq!((ring.wanted(at(90 * DAY - 1)), ring.wanted(at(90 * DAY))), (None, Some(2)));

        let ring = KeyRing::new(vec![key(2, at(90 * DAY)), key(1, at(0))]).unwrap();
        let minutes = |n: u64| at(90 * DAY + n * 60);
        assert_eq!((ring.signer(minutes(14)).generation, ring.signer(minutes(15)).generation), (1, 2));
        assert_eq!(ring.published().len(), 2);
        assert_eq!(ring.outlived(minutes(34), token_age), None, "its last token may still be about");
        assert_eq!(ring.outlived(minutes(35), token_age), Some(1));
        assert_eq!(ring.wanted(minutes(35)), None);
    }

    #[test]
    fn the_only_key_is_never_dropped() {
        let ring = KeyRing::new(vec![key(1, at(0))]).unwrap();
        assert_eq!(ring.outlived(at(1000 * DAY), Duration::ZERO), None);
        assert!(KeyRing::new(Vec::new()).is_none());
    }
}
