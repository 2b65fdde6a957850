//! Links in mails that do one thing once.
//!
//! A link is a secret of 256 random bits, of which only a hash is stored.
//!
//! - One that sets a new password is good for one use and for an hour. A new password makes every other such link of
//!   the account worthless. Asking is answered in the same words whether or not there is such an account, and an
//!   account gets only a few mails an hour, so that nobody can flood a mailbox.
//! - One that confirms an account's address is good for 48 hours, and following it again changes nothing. Until then
//!   the account can buy, as a guest can, and nothing else is sent there than links and what happened to its orders.
//!   It sees nothing of what others ordered with the address.

use std::time::Duration;

use bookworm_kernel::Timestamp;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkPurpose {
    /// Proves that the account's address is its owner's.
    ConfirmEmail,
    /// Sets a new password.
    SetPassword,
}

impl LinkPurpose {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ConfirmEmail, Self::SetPassword];
    /// Links of one account and purpose that are good at the same time, where that is bounded.
    pub const MAX_OPEN: i64 = 3;

    /// How long a link is good.
    pub const fn valid_for(self) -> Duration {
        match self {
            Self::ConfirmEmail => Duration::from_secs(48 * 60 * 60),
            Self::SetPassword => Duration::from_secs(60 * 60),
        }
    }

    /// Until when a link made now is good.
    pub fn expires_at(self, now: Timestamp) -> Timestamp {
        now.plus(self.valid_for())
    }
}
