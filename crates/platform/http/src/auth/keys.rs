//! Keys from elsewhere.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

/// The shortest time between two fetches: a stranger's tokens with made-up key ids cause no more.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// A key's id (`kid`) and the 32 bytes of an Ed25519 public key.
pub type FetchedKey = (String, [u8; 32]);

/// Where a [`TokenVerifier`](super::TokenVerifier) gets its keys when it is not given them.
pub trait KeySource: Send + Sync {
    /// All keys that are good now. The error is a sentence for the log.
    fn fetch(&self) -> BoxFuture<'static, Result<Vec<FetchedKey>, String>>;
}

/// The keys of a JSON Web Key Set (RFC 7517) that this shop's tokens are signed with: Ed25519 (RFC 8037). Others are
/// passed over.
///
/// # Errors
/// When it is no key set, or has no such key.
pub fn read_key_set(json: &[u8]) -> Result<Vec<FetchedKey>, String> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        #[serde(default)]
        kid: String,
        #[serde(default)]
        crv: String,
        #[serde(default)]
        x: String,
    }
    let set: KeySet = serde_json::from_slice(json).map_err(|_| "what came is no key set".to_owned())?;
    let bytes = |x: &str| URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok();
    let ours = set.keys.into_iter().filter(|key| key.crv == "Ed25519" && !key.kid.is_empty());
    let keys: Vec<FetchedKey> = ours.filter_map(|key| Some((key.kid, bytes(&key.x)?))).collect();
    if keys.is_empty() { Err("the key set has no Ed25519 key".to_owned()) } else { Ok(keys) }
}

/// A source, and when it was last asked.
pub(super) struct Fetching {
    source: Arc<dyn KeySource>,
    /// Locked during a fetch: whoever comes meanwhile waits for its outcome.
    last: Mutex<Option<Instant>>,
}

impl Fetching {
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, last: Mutex::default() }
    }

    /// Hands the keys to `apply`, before anybody who waited for this fetch goes on. With `unless_recent` it does nothing
    /// when the last one was a moment ago.
    pub async fn fetch(&self, unless_recent: bool, apply: impl FnOnce(Vec<FetchedKey>)) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if unless_recent && last.is_some_and(|last| last.elapsed() < AT_MOST_EVERY) {
            return Ok(());
        }
        let keys = self.source.fetch().await;
        *last = Some(Instant::now());
        keys.map(apply)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bookworm_kernel::{Clock as _, CustomerId};
    use bookworm_testing::{AUDIENCE, clock};
    use ed25519_dalek::SigningKey;
    use uuid::Uuid;

    use super::*;
    use crate::auth::{Claims, TokenVerifier, sign};

    #[test]
    fn only_keys_that_can_sign_our_tokens_are_read() {
        let x = URL_SAFE_NO_PAD.encode([7; 32]);
        let set = serde_json::json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x},
            {"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"},
            {"kty": "OKP", "crv": "Ed25519", "x": x},
            {"kty": "RSA", "kid": "b", "n": "x", "e": "AQAB"},
        ]});
        assert_eq!(read_key_set(set.to_string().as_bytes()), Ok(vec![("a".to_owned(), [7; 32])]));
        for bad in ["", "{}", "[]", r#"{"keys": []}"#, r#"{"keys": [{"kid": 1}]}"#, "<html>"] {
            assert!(read_key_set(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    struct Counting {
        keys: Vec<FetchedKey>,
        fetches: AtomicU32,
    }

    impl KeySource for Counting {
        fn fetch(&self) -> BoxFuture<'static, Result<Vec<FetchedKey>, String>> {
            let first = self.fetches.fetch_add(1, Ordering::SeqCst) == 0;
            let keys = if first { Err("away".to_owned()) } else { Ok(self.keys.clone()) };
            Box::pin(async move {
                tokio::task::yield_now().await;
                keys
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_fetched_at_once_and_not_by_everybody() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let keys = vec![("k1".to_owned(), key.verifying_key().to_bytes())];
        let source = Arc::new(Counting { keys, fetches: AtomicU32::new(0) });
        let verifier = TokenVerifier::new(None, AUDIENCE, clock()).fetching_from(source.clone());
        let now = clock().now().seconds();
        let claims = Claims {
            iss: "https://shop".to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: CustomerId::new(),
            exp: now + 900,
            iat: now,
            jti: Uuid::now_v7(),
            email: "ann@example.org".to_owned(),
            name: "Ann".to_owned(),
            roles: Vec::new(),
            email_confirmed: true,
        };
        let token = sign("k1", &key, &claims).unwrap();
        assert!(verifier.verify_fetching(&token).await.is_err(), "the source is away");
        assert!(!verifier.has_keys());
        assert!(verifier.verify_fetching(&token).await.is_err(), "too soon to ask again");
        assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
        tokio::time::advance(AT_MOST_EVERY).await;
        let (one, two) = tokio::join!(verifier.verify_fetching(&token), verifier.verify_fetching(&token));
        assert!(one.is_ok() && two.is_ok(), "both share one fetch");
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
        tokio::time::advance(AT_MOST_EVERY).await;
        for nonsense in ["", "forged", "a.b.c", &"x".repeat(10_000)] {
            assert!(verifier.verify_fetching(nonsense).await.is_err());
        }
        assert!(verifier.verify_fetching(&token).await.is_ok());
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2, "neither nonsense nor a known key asks");
    }
}
