use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A refresh token: 256 random bits. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken([u8; 32]);

impl RefreshToken {
    /// A new one.
    pub fn new() -> Self {
        Self(rand::random())
    }

    /// Reads what a client sent; `None` when it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// As the client stores it.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What to store and to look for. A random secret needs neither salt nor a slow hash.
    pub fn hash(&self) -> String {
        fingerprint(&self.0)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

/// SHA-256 in base64url.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_text_and_nothing_else() {
        let token = RefreshToken::new();
        assert_eq!(RefreshToken::parse(&token.reveal()), Some(token.clone()));
        assert_ne!(token.hash(), token.reveal());
        for bad in ["", "x", "' OR 1=1 --", &"A".repeat(42), &"A".repeat(5000)] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad}");
        }
    }
}
