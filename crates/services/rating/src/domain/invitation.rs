use std::time::Duration;

use bookworm_kernel::{CustomerId, Email, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Builder;

/// What the links of an invitation prove: a secret of 256 random bits, in hexadecimal digits. Only its hash is stored.
pub(crate) struct InviteToken(String);

impl InviteToken {
    /// A new one.
    pub fn draw() -> Self {
        Self(hex(&rand::random::<[u8; 32]>()))
    }

    /// Reads what somebody sent; `None` when it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let ours = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours.then(|| Self(text.to_ascii_lowercase()))
    }

    /// As the link has it.
    pub fn reveal(self) -> String {
        self.0
    }

    /// What to store and to look for.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }
}

/// A mailbox as it is remembered after it asked for no more mails: a fingerprint, so that the address is not stored.
pub(crate) fn mailbox(email: &Email) -> String {
    hex(&Sha256::digest(format!("mailbox {}", email.mailbox())))
}

/// The author of the reviews of somebody without an account: the same for all orders of one mailbox, so that there is one
/// review of a book.
pub(crate) fn guest(email: &Email) -> CustomerId {
    let digest: [u8; 32] = Sha256::digest(format!("guest {}", email.mailbox())).into();
    let bytes: [u8; 16] = std::array::from_fn(|place| digest[place]);
    CustomerId::from_uuid(Builder::from_custom_bytes(bytes).into_uuid())
}

/// Days as a length of time.
pub(crate) fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

/// When an order's buyer is asked, and until when reviews are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvitationRules {
    /// Days after the order is complete.
    pub after_days: u32,
    /// Days after the mail.
    pub valid_days: u32,
}

impl InvitationRules {
    pub fn due_at(self, completed: Timestamp) -> Timestamp {
        completed.plus(days(self.after_days))
    }

    pub fn expires_at(self, sent: Timestamp) -> Timestamp {
        sent.plus(days(self.valid_days))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = InviteToken::draw();
        let (hash, text) = (token.hash(), token.reveal());
        assert_eq!(InviteToken::parse(&format!(" {text} ")).map(|read| read.hash()), Some(hash.clone()));
        assert_ne!(hash, text);
        for bad in ["", "x", &"g".repeat(64), &"a".repeat(63), &"a".repeat(5000)] {
            assert!(InviteToken::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_mailbox_is_one_guest_however_it_is_written() {
        let email = |text: &str| Email::parse(text).unwrap();
        assert_eq!(guest(&email("Ann+books@example.org")), guest(&email("ann@EXAMPLE.org")));
        assert_ne!(guest(&email("ann@example.org")), guest(&email("bob@example.org")));
        assert_eq!(mailbox(&email("Ann+books@example.org")), mailbox(&email("ann@EXAMPLE.org")));
        assert!(!mailbox(&email("ann@example.org")).contains("ann"));
        assert_eq!(guest(&email("ann@example.org")).uuid().get_version_num(), 8);
    }
}
