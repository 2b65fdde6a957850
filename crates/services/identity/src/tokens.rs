//! Access tokens: signed with Ed25519 (RFC 8037), checked by anybody with the published keys.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_db::{Db, DbError};
use bookworm_http::auth::{self, Claims, SignError};
use bookworm_kernel::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    domain::{Account, KeyRing, Role, SigningKey, fingerprint},
    store,
};

/// Whom access tokens are for: the `aud` of each.
pub const AUDIENCE: &str = "bookworm";

/// Key ids and the 32 bytes of each Ed25519 public key: what a `TokenVerifier` wants.
pub type PublicKeys = Vec<(String, [u8; 32])>;

/// Signs access tokens, and has the keys for it.
#[derive(Debug)]
pub(crate) struct Tokens {
    issuer: String,
    lifetime: Duration,
    ring: RwLock<Arc<KeyRing>>,
    published: watch::Sender<PublicKeys>,
}

impl Tokens {
    /// Reads the keys; makes the first one when there is none.
    pub async fn open(db: &Db, issuer: &str, lifetime: Duration, now: Timestamp) -> Result<Self, DbError> {
        let ring = match load(db).await? {
            Some(ring) => ring,
            None => {
                store_new(db, 1, now).await?;
                load(db).await?.ok_or_else(|| DbError::Corrupt("no signing key after one was made".to_owned()))?
            }
        };
        let published = watch::Sender::new(public(&ring));
        Ok(Self { issuer: issuer.to_owned(), lifetime, ring: RwLock::new(Arc::new(ring)), published })
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub fn subscribe(&self) -> watch::Receiver<PublicKeys> {
        self.published.subscribe()
    }

    /// A token that proves to be this account.
    pub fn sign(&self, account: &Account, now: Timestamp) -> Result<String, SignError> {
        let ring = self.ring();
        let signer = ring.signer(now);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: account.id,
            exp: now.plus(self.lifetime).seconds(),
            iat: now.seconds(),
            jti: Uuid::new_v4(),
            email: account.email.to_string(),
            name: account.name.clone(),
            roles: account.roles.iter().copied().map(claimed).collect(),
            email_confirmed: account.email_confirmed,
        };
        auth::sign(&signer.kid, &signer.key, &claims)
    }

    /// The published keys as a JSON Web Key Set (RFC 7517).
    pub fn key_set(&self) -> Value {
        let keys = self.published.borrow().clone();
        let key = |(kid, x): &(String, [u8; 32])| json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": URL_SAFE_NO_PAD.encode(x)});
        json!({"keys": keys.iter().map(key).collect::<Vec<_>>()})
    }

    /// Makes a key when one is due, drops those that are not needed any more, and takes over what other processes
    /// made. Called each minute.
    pub async fn rotate(&self, db: &Db, now: Timestamp) -> Result<(), DbError> {
        let Some(mut ring) = load(db).await? else {
            return Err(DbError::Corrupt("the signing keys are gone".to_owned()));
        };
        let (wanted, outlived) = (ring.wanted(now), ring.outlived(now, self.lifetime));
        if let Some(generation) = wanted {
            store_new(db, generation, now).await?;
            tracing::info!(generation, "a new signing key is published");
        }
        if let Some(generation) = outlived {
            db.transact::<_, DbError, _>(move |tx| Box::pin(async move { store::drop_keys(tx, generation).await }))
                .await?;
            tracing::info!(generation, "an old signing key is dropped");
        }
        if (wanted.is_some() || outlived.is_some())
            && let Some(changed) = load(db).await?
        {
            ring = changed;
        }
        let keys = public(&ring);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        self.published.send_if_modified(|published| {
            let changed = *published != keys;
            *published = keys;
            changed
        });
        Ok(())
    }

    fn ring(&self) -> Arc<KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn load(db: &Db) -> Result<Option<KeyRing>, DbError> {
    Ok(KeyRing::new(store::keys(db.read()).await?))
}

async fn store_new(db: &Db, generation: i64, now: Timestamp) -> Result<(), DbError> {
    let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
    // The thumbprint of RFC 7638: its members in this order, without spaces.
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let kid = fingerprint(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
    let key = SigningKey { generation, kid, key, created_at: now };
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { store::insert_key(tx, &key).await })).await
}

fn public(ring: &KeyRing) -> PublicKeys {
    ring.published().iter().map(|key| (key.kid.clone(), key.key.verifying_key().to_bytes())).collect()
}

/// A role as tokens name it.
fn claimed(role: Role) -> auth::Role {
    match role {
        Role::Customer => auth::Role::Customer,
        Role::Agent => auth::Role::Agent,
        Role::Staff => auth::Role::Staff,
        Role::Admin => auth::Role::Admin,
    }
}
