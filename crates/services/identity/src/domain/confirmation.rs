//! Links that confirm an account's address.
//!
//! Until its address is confirmed an account can buy, as a guest can, and nothing else is sent there than the link,
//! links for a new password, and what happened to its orders. It sees nothing of what others ordered with the address.

use std::time::Duration;

use bookworm_kernel::Timestamp;

/// How long a link is good.
pub(crate) const VALID_FOR: Duration = Duration::from_secs(48 * 60 * 60);

/// Until when a link made now is good.
pub(crate) fn expires_at(now: Timestamp) -> Timestamp {
    now.plus(VALID_FOR)
}
