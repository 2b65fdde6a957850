//! Accounts, sessions, tokens, keys.
//!
//! An account signs in with its password and gets an access token (a JWT that everybody can check with the published
//! keys, good for minutes) and a refresh token (a secret that only this service knows, good for one use). What slows
//! down guessing, and why a stranger cannot lock a customer out, is told in `domain/guessing.rs`; what happens when a
//! refresh token is copied, in `domain/session.rs`.
//!
//! | to change | open |
//! |---|---|
//! | a rule | `domain/` |
//! | an endpoint | `features/<use case>.rs` |
//! | how passwords are hashed | `hasher.rs` |
//! | what a token says, how keys rotate | `tokens.rs`, `domain/keys.rs` |

mod client;
mod domain;
mod features;
mod hasher;
mod store;
mod tokens;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_config::{Identity, Secret};
use bookworm_contracts::grpc::{
    Edge, basket::basket_client::BasketClient, notification::mailroom_client::MailroomClient,
};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::{Clock, Timestamp};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;

pub use crate::features::ensure_admin::{AdminError, PrintedOnce};
use crate::{
    domain::{AddressLimit, Backoff, SessionRules},
    features::attempt::AttemptTurns,
    hasher::Hasher,
    tokens::Tokens,
};

/// Whom access tokens are for: the `aud` of each.
pub const AUDIENCE: &str = "bookworm";

/// Key ids and the 32 bytes of each Ed25519 public key: what a `TokenVerifier` wants.
pub type PublicKeys = Vec<(String, [u8; 32])>;

/// The identity service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IdentityService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    public_url: String,
    hasher: Hasher,
    tokens: Tokens,
    sessions: SessionRules,
    backoff: Backoff,
    addresses: Mutex<AddressLimit>,
    turns: AttemptTurns,
    /// What goes on after its request was answered.
    tasks: TaskTracker,
    basket: BasketClient<Edge>,
    mail: MailroomClient<Edge>,
}

fn minutes(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 60)
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

impl IdentityService {
    /// The service's name, also its database's.
    pub const NAME: &str = "identity";

    /// Brings the schema up to date, reads the signing keys (making the first) and starts.
    ///
    /// `public_url` is where customers reach the shop; it is the issuer of tokens too, unless the settings name one.
    ///
    /// # Errors
    /// When the database cannot be migrated or read, or the settings ask for hashes that Argon2 cannot make.
    pub async fn open(
        db: Db,
        settings: &Identity,
        public_url: &str,
        clock: Arc<dyn Clock>,
        basket: BasketClient<Edge>,
        mail: MailroomClient<Edge>,
    ) -> Result<Self, DbError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        let hasher = Hasher::new(&settings.argon2)
            .map_err(|error| DbError::Corrupt(format!("the settings identity.argon2: {error}")))?;
        let public_url = public_url.trim_end_matches('/').to_owned();
        let issuer = settings.issuer.as_deref().unwrap_or(&public_url);
        let tokens = Tokens::open(&db, issuer, minutes(settings.access_token_minutes), clock.now()).await?;
        let lockout = &settings.lockout;
        Ok(Self(Arc::new(Inner {
            outbox: Outbox::new(clock.clone()),
            hasher,
            tokens,
            sessions: SessionRules {
                unused: days(settings.refresh_token_days),
                longest: days(settings.session_max_days),
                overlap: Duration::from_secs(u64::from(settings.refresh_overlap_seconds)),
            },
            backoff: Backoff {
                free: lockout.attempts_before_delay,
                base: Duration::from_secs(u64::from(lockout.base_delay_seconds)),
                longest: minutes(lockout.max_delay_minutes),
            },
            addresses: Mutex::new(AddressLimit::new(lockout.per_address_per_minute)),
            turns: AttemptTurns::default(),
            tasks: TaskTracker::new(),
            db,
            clock,
            public_url,
            basket,
            mail,
        })))
    }

    /// The routes, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.clone())
    }

    /// `/.well-known/openid-configuration` and `/.well-known/jwks.json`, which have no prefix.
    pub fn well_known(&self) -> axum::Router {
        features::well_known::routes().with_state(self.clone())
    }

    /// Reactions to other services' events: there are none.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        Vec::new()
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let service = self.clone();
        vec![
            features::rotate_keys::every_minute(self.clone()),
            features::tidy::every_hour(self.clone()),
            Loop::new("identity.links", move |stop| features::reset_password::finish(service.clone(), stop)),
        ]
    }

    /// Makes a signing key when one is due, drops those that are not needed any more, and takes over what other
    /// processes made. A worker does so each minute.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_keys(&self) -> Result<(), DbError> {
        self.0.tokens.rotate(&self.0.db, self.now()).await
    }

    /// Deletes expired sessions and forgotten attempts; returns how many. A worker does so each hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy(&self) -> Result<u64, DbError> {
        features::tidy::tidy(self).await
    }

    /// The keys that check access tokens now.
    #[must_use]
    pub fn public_keys(&self) -> PublicKeys {
        self.0.tokens.subscribe().borrow().clone()
    }

    /// The same, and every change of them: hand each to the `TokenVerifier`.
    #[must_use]
    pub fn watch_keys(&self) -> watch::Receiver<PublicKeys> {
        self.0.tokens.subscribe()
    }

    /// The `iss` of access tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.tokens.issuer()
    }

    /// Makes the first admin when there is none; does nothing otherwise.
    ///
    /// The account gets `email` (`admin@bookworm.example` when left out) and `password` (a random one when left out,
    /// which is returned to be printed, and is nowhere else). When an account with this address exists, it becomes
    /// admin and keeps its password.
    ///
    /// # Errors
    /// When the address or the password is not valid, or the database fails.
    pub async fn ensure_admin(
        &self,
        email: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<Option<PrintedOnce>, AdminError> {
        features::ensure_admin::ensure_admin(self, email, password).await
    }

    /// The service's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Where its messages wait for the bus.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, AddressLimit> {
        self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
