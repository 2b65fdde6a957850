use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// The secret of a guest's basket: 256 random bits. Whoever has it has the basket; it is never stored or logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GuestToken([u8; 32]);

/// What is stored of a [`GuestToken`]: its SHA-256. From a copy of the database nobody can take over a basket. A
/// random secret needs neither salt nor a slow hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenHash(pub String);

impl GuestToken {
    /// A new one.
    pub fn new() -> Self {
        Self(rand::random())
    }

    /// Reads what a client sent; `None` when it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// As the client stores it: 43 characters of base64url.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What to store and to look for.
    pub fn hash(&self) -> TokenHash {
        TokenHash(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0)))
    }
}

impl fmt::Debug for GuestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuestToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_text_and_nothing_else() {
        let token = GuestToken::new();
        assert_eq!(GuestToken::parse(&token.reveal()), Some(token.clone()));
        assert_ne!(GuestToken::new(), token);
        assert_ne!(token.hash().0, token.reveal());
        assert_eq!(format!("{token:?}"), "GuestToken(hidden)");
        for bad in ["", "x", "%00", "' OR 1=1 --", &"A".repeat(42), &"A".repeat(44), &"A".repeat(5000)] {
            assert_eq!(GuestToken::parse(bad), None, "{bad}");
        }
    }
}
