//! The secret with which a guest proves that a conversation is theirs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The secret of a guest's conversation: 43 characters, known to nobody but the guest. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestSecret(String);

/// The hash of a secret. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(String);

impl std::fmt::Debug for GuestSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestSecret(hidden)")
    }
}

impl GuestSecret {
    /// A new one, from 32 random bytes.
    #[must_use]
    pub fn draw() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// The secret, for the guest.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What to store of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(digest(&self.0))
    }
}

impl SecretHash {
    /// Whether this is the secret. Takes as long whatever it is.
    #[must_use]
    pub fn opens(&self, secret: &str) -> bool {
        digest(secret).as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// A guest's network address as it is stored: a hash, enough to count conversations from it.
#[must_use]
pub fn address_key(address: &str) -> String {
    let mut key = digest(&format!("chat address {address}"));
    key.truncate(22);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_opens() {
        let secret = GuestSecret::draw();
        assert_eq!(secret.reveal().len(), 43);
        assert!(secret.hash().opens(secret.reveal()));
        for other in ["", GuestSecret::draw().reveal(), &format!("{} ", secret.reveal())] {
            assert!(!secret.hash().opens(other));
        }
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }
}
