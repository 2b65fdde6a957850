use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_kernel::OrderId;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How many characters of the code are used: 22 of base64url carry 132 bits, which nobody guesses.
const LENGTH: usize = 22;

/// Makes and checks the keys with which guests read their orders: HMAC-SHA256 of the order's id under the shop's
/// secret. Nothing is stored, and a leaked key opens one order only.
#[derive(Clone)]
pub struct AccessKeys(Hmac<Sha256>);

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessKeys")
    }
}

impl AccessKeys {
    /// Under this secret, of at least 32 random bytes. Another secret makes every link sent before worthless.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a secret of any length"))
    }

    /// The key of an order: 22 characters of base64url.
    #[must_use]
    pub fn key(&self, order: OrderId) -> String {
        let mut mac = self.0.clone();
        mac.update(order.uuid().as_bytes());
        let mut key = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        key.truncate(LENGTH);
        key
    }

    /// Whether `key` opens the order. Takes the same time for every wrong key.
    #[must_use]
    pub fn opens(&self, order: OrderId, key: &str) -> bool {
        self.key(order).as_bytes().ct_eq(key.as_bytes()).into()
    }

    /// Path of the order's page, with its key.
    #[must_use]
    pub fn link(&self, order: OrderId) -> String {
        format!("/orders/{order}?key={}", self.key(order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_order_only() {
        let (keys, mine, other) = (AccessKeys::new(&[7; 32]), OrderId::new(), OrderId::new());
        let key = keys.key(mine);
        assert_eq!(key.len(), LENGTH);
        assert!(keys.opens(mine, &key));
        assert!(!keys.opens(other, &key));
        assert!(!AccessKeys::new(&[8; 32]).opens(mine, &key));
        for wrong in ["", "x", &key[..21], &format!("{key}A")] {
            assert!(!keys.opens(mine, wrong));
        }
    }
}
