//! Links that set a new password.
//!
//! A link is a secret of 256 random bits, of which only a hash is stored. It is good for one use and for an hour. A new
//! password makes every other link of the account worthless. Asking is answered in the same words whether or not there
//! is such an account, and an account gets only a few mails an hour, so that nobody can flood a mailbox.

use std::time::Duration;

use bookworm_kernel::Timestamp;

/// How long a link is good.
pub(crate) const VALID_FOR: Duration = Duration::from_secs(60 * 60);
/// Mails for one account within [`VALID_FOR`].
pub(crate) const AT_MOST: i64 = 3;

/// Until when a link made now is good.
pub(crate) fn expires_at(now: Timestamp) -> Timestamp {
    now.plus(VALID_FOR)
}
