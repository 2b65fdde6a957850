//! Links that prove an address.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// How long a link is valid, and what waits for it is stored.
pub const VALID_FOR: Duration = Duration::from_secs(72 * 60 * 60);
/// How long one link is enough: what is written meanwhile waits for the same one.
pub const ENOUGH_FOR: Duration = Duration::from_secs(60 * 60);

/// A secret of 256 random bits, in hexadecimal digits. Only its hash is stored, beside the mail that contains it.
pub struct Token(String);

impl Token {
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
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What to store and to look for.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(&self.0))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_it_was_written_and_nothing_else_is() {
        let token = Token::draw();
        assert_eq!(Token::parse(&format!(" {} ", token.reveal())).map(|read| read.hash()), Some(token.hash()));
        assert_ne!(token.hash(), token.reveal());
        for bad in ["", "x", &"g".repeat(64), &"a".repeat(63), "' OR 1=1 --", &"a".repeat(5000)] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }
}
