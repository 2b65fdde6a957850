use std::sync::Arc;

use bookworm_http::auth::{self, AccountClaims, Claims, Role, TokenVerifier};
use bookworm_kernel::{Clock, CustomerId};
use ed25519_dalek::SigningKey;
use uuid::Uuid;

/// Who signs the tokens of a [`TokenMint`].
pub const ISSUER: &str = "https://shop.test";
/// For whom they are.
pub const AUDIENCE: &str = "bookworm";

const KEY_ID: &str = "k1";
/// Seconds that a token is valid for, as in a shop.
const LIFETIME: i64 = 900;

/// Makes access tokens as identity does, and the verifier that believes them.
#[derive(Debug)]
pub struct TokenMint {
    key: SigningKey,
    clock: Arc<dyn Clock>,
}

impl TokenMint {
    /// Tokens begin at the clock's present instant.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { key: SigningKey::from_bytes(&[7; 32]), clock }
    }

    /// Believes the tokens of every mint. A router needs it as `Extension(mint.verifier())`.
    #[must_use]
    pub fn verifier(&self) -> Arc<TokenVerifier> {
        let verifier = TokenVerifier::new(Some(ISSUER), AUDIENCE, self.clock.clone());
        verifier.set_keys([(KEY_ID.to_owned(), self.key.verifying_key().to_bytes())]);
        Arc::new(verifier)
    }

    /// What a token of this account says: Ann, ann@example.org, confirmed, valid for 15 minutes.
    #[must_use]
    pub fn claims(&self, id: CustomerId, roles: &[Role]) -> Claims {
        let now = self.clock.now().seconds();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: id,
            exp: now + LIFETIME,
            iat: now,
            jti: Uuid::now_v7(),
            email: "ann@example.org".to_owned(),
            name: "Ann".to_owned(),
            roles: roles.to_vec(),
            email_confirmed: true,
        }
    }

    /// A token that says this.
    ///
    /// # Panics
    /// Never: the key is a good one.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> String {
        auth::sign(KEY_ID, &self.key, claims).unwrap()
    }

    /// A token of this account.
    #[must_use]
    pub fn token(&self, id: CustomerId, roles: &[Role]) -> String {
        self.sign(&self.claims(id, roles))
    }
}

/// An account of its own with these roles, for [`Request::caller`](crate::Request::caller).
#[must_use]
pub fn account(roles: &[Role]) -> Arc<AccountClaims> {
    Arc::new(AccountClaims {
        id: CustomerId::new(),
        email: "ann@example.org".to_owned(),
        name: "Ann".to_owned(),
        roles: roles.to_vec(),
        email_confirmed: true,
    })
}
