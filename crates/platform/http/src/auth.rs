//! Who asks: access tokens, and the extractors that demand a role.
//!
//! Tokens are JWTs signed with Ed25519 (`EdDSA`, RFC 8037). `identity` signs them; everybody else has only the public
//! keys, in a [`TokenVerifier`] that the node puts into each request as an extension: `Extension(Arc<TokenVerifier>)`.
//! A process without `identity` fetches them: see [`KeySource`].

mod ed25519;
mod keys;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::extract::FromRequestParts;
use bookworm_kernel::{Clock, CustomerId, ErrorCode, Timestamp};
use http::{HeaderValue, header, request::Parts};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::{
    ed25519::{SignError, sign},
    keys::{FetchedKey, KeySource, read_key_set},
};
use crate::{Problem, Result};

/// What somebody may do beyond buying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everybody with an account.
    Customer,
    /// Answers support chats.
    Agent,
    /// Manages the catalogue, stock and orders.
    Staff,
    /// Everything, and gives roles to others.
    Admin,
}

/// What an access token says (RFC 7519).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Whose it is.
    pub sub: CustomerId,
    /// From this second on (Unix time) it is worth nothing.
    pub exp: i64,
    /// When it was made, in seconds of Unix time.
    pub iat: i64,
    /// The token's own id.
    pub jti: Uuid,
    /// The account's address.
    pub email: String,
    /// How to address its owner.
    pub name: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// Whether the account's owner proved that the address is theirs.
    #[serde(default)]
    pub email_confirmed: bool,
}

/// The account that asks.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountClaims {
    /// The account.
    pub id: CustomerId,
    /// Its address when the token was made.
    pub email: String,
    /// Its owner's name when the token was made.
    pub name: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// Whether they had proved, when the token was made, that the address is theirs.
    pub email_confirmed: bool,
}

impl AccountClaims {
    /// Whether the account has this very role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the account is staff or admin.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.has(Role::Staff) || self.has(Role::Admin)
    }
}

impl fmt::Debug for AccountClaims {
    /// Hides the person: names and addresses do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountClaims").field("id", &self.id).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl fmt::Debug for Claims {
    /// Hides the person, as [`AccountClaims`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("sub", &self.sub)
            .field("exp", &self.exp)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// Checks access tokens. One for a process, shared.
pub struct TokenVerifier {
    keys: RwLock<Arc<Keys>>,
    validation: Validation,
    clock: Arc<dyn Clock>,
    verified: moka::sync::Cache<[u8; 32], Verified>,
    fetching: Option<keys::Fetching>,
}

#[derive(Default)]
struct Keys {
    /// Counts replacements, so that what an older set of keys had verified is not trusted any more.
    generation: u64,
    by_id: HashMap<String, DecodingKey>,
}

#[derive(Clone)]
struct Verified {
    generation: u64,
    exp: i64,
    account: Arc<AccountClaims>,
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys().by_id.keys()).finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// The longest token that is looked at, in bytes.
    pub const MAX_TOKEN_BYTES: usize = 4096;
    /// How many verified tokens are remembered, and how long at most.
    const CACHE: (u64, Duration) = (10_000, Duration::from_secs(60));

    /// Trusts tokens for this audience, and of this issuer when one is named, once it is given keys. Without a name the
    /// keys alone decide: they are this shop's and nobody else's.
    #[must_use]
    pub fn new(issuer: Option<&str>, audience: &str, clock: Arc<dyn Clock>) -> Self {
        ed25519::install();
        // The algorithm is ours to choose, never the token's.
        let mut validation = Validation::new(Algorithm::EdDSA);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
        }
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library would ask the machine's clock; `verify` asks ours.
        validation.validate_exp = false;
        let (capacity, age) = Self::CACHE;
        let verified = moka::sync::Cache::builder().max_capacity(capacity).time_to_live(age).build();
        Self { keys: RwLock::default(), validation, clock, verified, fetching: None }
    }

    /// Fetches its keys from here: when [`refresh`](Self::refresh) is called, and at once for a token of a key that it
    /// does not know, but at most every five seconds.
    #[must_use]
    pub fn fetching_from(self, source: Arc<dyn KeySource>) -> Self {
        Self { fetching: Some(keys::Fetching::new(source)), ..self }
    }

    /// Whether it can tell a token of this shop from others.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys().by_id.is_empty()
    }

    /// Whether it has a source of keys.
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.fetching.is_some()
    }

    /// Fetches the keys now, if it has a source.
    ///
    /// # Errors
    /// When the source has none for it; the keys that it has stay.
    pub async fn refresh(&self) -> std::result::Result<(), String> {
        match &self.fetching {
            Some(fetching) => fetching.fetch(false, |keys| self.set_keys(keys)).await,
            None => Ok(()),
        }
    }

    /// The same as [`verify_until`](Self::verify_until); a token of an unknown key has the keys fetched first.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_fetching(&self, token: &str) -> Result<(Arc<AccountClaims>, Timestamp)> {
        if let Some(fetching) = &self.fetching
            && !self.knows_key_of(token)
            && let Err(error) = fetching.fetch(true, |keys| self.set_keys(keys)).await
        {
            tracing::warn!(error, "the keys for access tokens cannot be fetched");
        }
        self.verify_until(token)
    }

    fn knows_key_of(&self, token: &str) -> bool {
        // What is no token at all needs no keys to be refused.
        if token.len() > Self::MAX_TOKEN_BYTES {
            return true;
        }
        let Some(id) = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid) else { return true };
        self.keys().by_id.contains_key(&id)
    }

    /// Replaces the trusted keys: key id (`kid`) and the 32 bytes of an Ed25519 public key. Tokens of a key that is
    /// not among them are refused from now on.
    pub fn set_keys(&self, keys: impl IntoIterator<Item = (String, [u8; 32])>) {
        let by_id = keys.into_iter().map(|(id, key)| (id, DecodingKey::from_ed_der(&key))).collect();
        let mut trusted = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let generation = trusted.generation + 1;
        *trusted = Arc::new(Keys { generation, by_id });
    }

    /// The account that this token proves.
    ///
    /// # Errors
    /// 401 `invalid_token`, with the challenge of RFC 6750, when it is not a token of ours, of an unknown key, or
    /// expired.
    pub fn verify(&self, token: &str) -> Result<Arc<AccountClaims>> {
        self.verify_until(token).map(|(account, _)| account)
    }

    /// The account that this token proves, and until when: for connections that outlive a request.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_until(&self, token: &str) -> Result<(Arc<AccountClaims>, Timestamp)> {
        let keys = self.keys();
        let now = self.clock.now().seconds();
        if token.len() > Self::MAX_TOKEN_BYTES {
            return Err(invalid_token("The token is too long."));
        }
        // The hash, so that no token lies around in memory.
        let hash: [u8; 32] = Sha256::digest(token).into();
        let known = self.verified.get(&hash).filter(|known| known.generation == keys.generation);
        let verified = match known {
            Some(known) => known,
            None => {
                let claims =
                    self.decode(token, &keys).ok_or_else(|| invalid_token("The token was not made by this shop."))?;
                let account = AccountClaims {
                    id: claims.sub,
                    email: claims.email,
                    name: claims.name,
                    roles: claims.roles,
                    email_confirmed: claims.email_confirmed,
                };
                let verified = Verified { generation: keys.generation, exp: claims.exp, account: Arc::new(account) };
                self.verified.insert(hash, verified.clone());
                verified
            }
        };
        if verified.exp <= now {
            return Err(invalid_token("The token has expired."));
        }
        Ok((verified.account, Timestamp::from_micros(verified.exp.saturating_mul(1_000_000))))
    }

    /// The time by which tokens are judged.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn decode(&self, token: &str, keys: &Keys) -> Option<Claims> {
        let id = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = keys.by_id.get(&id)?;
        jsonwebtoken::decode(token, key, &self.validation).ok().map(|token| token.claims)
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn invalid_token(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidToken)
        .detail(detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

/// Who asks. As an extractor: nobody without an `Authorization` header, or with one of another scheme than `Bearer`, as
/// a proxy in front may ask for; 401 `invalid_token` when there is a token that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody without an account, or who does not say.
    Anonymous,
    /// Somebody with an account.
    Account(Arc<AccountClaims>),
}

impl Caller {
    /// The account, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<&AccountClaims> {
        match self {
            Self::Anonymous => None,
            Self::Account(account) => Some(account),
        }
    }

    /// The account's id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<CustomerId> {
        self.account().map(|account| account.id)
    }

    /// Whether the caller is staff or admin.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.account().is_some_and(AccountClaims::is_staff)
    }

    /// Reads the `Authorization` header.
    async fn read(parts: &Parts) -> Result<Self> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(Self::Anonymous) };
        let mut words = value.as_bytes().splitn(2, |byte| *byte == b' ');
        if !words.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer")) {
            return Ok(Self::Anonymous);
        }
        let token = words.next().and_then(|token| std::str::from_utf8(token).ok()).map(str::trim);
        let token = token.ok_or_else(|| invalid_token("Authorization must be `Bearer` and an access token."))?;
        let Some(verifier) = parts.extensions.get::<Arc<TokenVerifier>>() else {
            tracing::error!("no TokenVerifier among the request's extensions");
            return Err(Problem::new(ErrorCode::Internal));
        };
        verifier.verify_fetching(token).await.map(|(account, _)| Self::Account(account))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        // A middleware may have asked before the handler does.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let caller = Self::read(parts).await?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

async fn signed(parts: &mut Parts, allowed: fn(&AccountClaims) -> bool) -> Result<Arc<AccountClaims>> {
    match Caller::from_request_parts(parts, &()).await? {
        Caller::Anonymous => Err(Problem::new(ErrorCode::Unauthenticated)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        Caller::Account(account) if allowed(&account) => Ok(account),
        Caller::Account(_) => Err(Problem::new(ErrorCode::Forbidden)),
    }
}

macro_rules! demands {
    ($($(#[$doc:meta])* $name:ident: $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub Arc<AccountClaims>);

        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
                signed(parts, $allowed).await.map(Self)
            }
        }
    )*};
}

demands! {
    /// Extracts the account; 401 `unauthenticated` for nobody.
    Signed: |_| true;
    /// Staff or admin; 401 `unauthenticated` for nobody, 403 `forbidden` for others.
    StaffOnly: AccountClaims::is_staff;
    /// Agent or admin; 401 `unauthenticated` for nobody, 403 `forbidden` for others.
    AgentOnly: |account| account.has(Role::Agent) || account.has(Role::Admin);
    /// Admin; 401 `unauthenticated` for nobody, 403 `forbidden` for others.
    AdminOnly: |account| account.has(Role::Admin);
}

#[cfg(test)]
mod tests {
    use axum::{Extension, Router, body::Body, routing::get};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use bookworm_kernel::ManualClock;
    use ed25519_dalek::{Signer, SigningKey};
    use hmac::Mac;
    use tower::ServiceExt;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    struct Shop {
        clock: Arc<ManualClock>,
        verifier: Arc<TokenVerifier>,
        key: SigningKey,
    }

    fn shop() -> Shop {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
        let verifier = Arc::new(TokenVerifier::new(Some("https://shop"), "bookworm", clock.clone()));
        let key = SigningKey::from_bytes(&[7; 32]);
        verifier.set_keys([("k1".to_owned(), key.verifying_key().to_bytes())]);
        Shop { clock, verifier, key }
    }

    fn claims(roles: &[Role]) -> Claims {
        Claims {
            iss: "https://shop".into(),
            aud: "bookworm".into(),
            sub: CustomerId::new(),
            exp: NOW + 900,
            iat: NOW,
            jti: Uuid::now_v7(),
            email: "ann@example.org".into(),
            name: "Ann".into(),
            roles: roles.to_vec(),
            email_confirmed: true,
        }
    }

    fn signed(kid: &str, key: &SigningKey, claims: &impl Serialize) -> String {
        sign(kid, key, claims).unwrap()
    }

    fn base64(text: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_token_proves_its_account_until_it_expires() {
        let shop = shop();
        let claims = claims(&[Role::Customer]);
        let token = signed("k1", &shop.key, &claims);
        for _ in 0..2 {
            assert_eq!(shop.verifier.verify(&token).unwrap().id, claims.sub);
        }
        shop.clock.advance(Duration::from_secs(899));
        assert!(shop.verifier.verify(&token).is_ok());
        shop.clock.advance(Duration::from_secs(1));
        let problem = shop.verifier.verify(&token).unwrap_err();
        assert_eq!(problem.code(), ErrorCode::InvalidToken);
        assert_eq!(problem.headers()[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    }

    #[test]
    fn a_removed_key_is_not_trusted_even_for_remembered_tokens() {
        let shop = shop();
        let token = signed("k1", &shop.key, &claims(&[]));
        assert!(shop.verifier.verify(&token).is_ok());
        shop.verifier.set_keys([("k2".to_owned(), SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes())]);
        assert!(shop.verifier.verify(&token).is_err());
    }

    #[test]
    fn forged_tokens_are_refused() {
        let shop = shop();
        let good = claims(&[Role::Admin]);
        let token = signed("k1", &shop.key, &good);
        let (head, signature) = token.rsplit_once('.').unwrap();
        let (_, body) = head.split_once('.').unwrap();
        let none = base64(r#"{"alg":"none","kid":"k1"}"#);
        // Made by hand, for the library signs with nothing but Ed25519 here.
        let hmac = {
            let head = format!("{}.{body}", base64(r#"{"alg":"HS256","kid":"k1"}"#));
            let secret = shop.key.verifying_key().to_bytes();
            let mac = hmac::Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(&head).finalize();
            format!("{head}.{}", base64(mac.into_bytes()))
        };
        let without_id = {
            let head = format!("{}.{body}", base64(r#"{"alg":"EdDSA"}"#));
            format!("{head}.{}", base64(shop.key.sign(head.as_bytes()).to_bytes()))
        };
        let without_exp = serde_json::json!({"iss": "https://shop", "aud": "bookworm", "sub": good.sub});
        for (what, bad) in [
            ("nothing", String::new()),
            ("not a token", "abc".to_owned()),
            ("too long", "a".repeat(TokenVerifier::MAX_TOKEN_BYTES + 1)),
            ("another key", signed("k1", &SigningKey::from_bytes(&[9; 32]), &good)),
            ("no key id", without_id),
            ("unknown key id", signed("k9", &shop.key, &good)),
            ("another issuer", signed("k1", &shop.key, &Claims { iss: "https://evil".into(), ..good.clone() })),
            ("another audience", signed("k1", &shop.key, &Claims { aud: "other".into(), ..good.clone() })),
            ("no expiry", signed("k1", &shop.key, &without_exp)),
            ("no algorithm", format!("{none}.{body}.")),
            ("no algorithm, signed", format!("{none}.{body}.{signature}")),
            ("public key as secret", hmac),
            ("no signature", format!("{head}.")),
        ] {
            assert_eq!(shop.verifier.verify(&bad).map_err(|p| p.code()), Err(ErrorCode::InvalidToken), "{what}");
        }
        assert!(shop.verifier.verify(&token).is_ok());
    }

    #[tokio::test]
    async fn each_door_opens_for_its_roles_only() {
        let shop = shop();
        let app = Router::new()
            .route(
                "/caller",
                get(|caller: Caller| async move { caller.id().map(|id| id.to_string()).unwrap_or_default() }),
            )
            .route("/signed", get(|_: Signed| async {}))
            .route("/staff", get(|_: StaffOnly| async {}))
            .route("/agent", get(|_: AgentOnly| async {}))
            .route("/admin", get(|_: AdminOnly| async {}))
            .layer(Extension(Arc::clone(&shop.verifier)));
        let token = |roles: &[Role]| format!("Bearer {}", signed("k1", &shop.key, &claims(roles)));
        let cases = [
            ("nobody", None, [200, 401, 401, 401, 401]),
            ("bad token", Some("Bearer abc".to_owned()), [401; 5]),
            ("another scheme", Some("Basic YTpi".to_owned()), [200, 401, 401, 401, 401]),
            ("another scheme", Some("Digest username=\"a\"".to_owned()), [200, 401, 401, 401, 401]),
            ("another scheme", Some("Bearerabc".to_owned()), [200, 401, 401, 401, 401]),
            ("no token", Some("bearer".to_owned()), [401; 5]),
            ("customer", Some(token(&[Role::Customer])), [200, 200, 403, 403, 403]),
            ("agent", Some(token(&[Role::Customer, Role::Agent])), [200, 200, 403, 200, 403]),
            ("staff", Some(token(&[Role::Customer, Role::Staff])), [200, 200, 200, 403, 403]),
            ("admin", Some(token(&[Role::Customer, Role::Admin])), [200; 5]),
        ];
        for (who, authorization, expected) in cases {
            for (path, status) in ["/caller", "/signed", "/staff", "/agent", "/admin"].into_iter().zip(expected) {
                let mut request = http::Request::get(path);
                if let Some(authorization) = &authorization {
                    request = request.header(header::AUTHORIZATION, authorization);
                }
                let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
                assert_eq!(response.status().as_u16(), status, "{who} at {path}");
                assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401, "{who} at {path}");
            }
        }
    }

    #[test]
    fn nothing_personal_is_printed() {
        let shop = shop();
        let claims = claims(&[Role::Customer]);
        let account = shop.verifier.verify(&signed("k1", &shop.key, &claims)).unwrap();
        let printed = format!("{claims:?} {account:?}");
        assert!(!printed.contains("ann@") && !printed.contains("Ann"), "{printed}");
    }
}
