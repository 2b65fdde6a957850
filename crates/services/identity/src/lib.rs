//! Accounts, sessions, tokens, keys.
//!
//! An account signs in with its password and gets an access token (a JWT that everybody can check with the published
//! keys, valid for minutes) and a refresh token (a secret that only this service knows, valid for one use). What slows
//! down guessing, and why a stranger cannot lock a customer out, is explained in `domain/guessing.rs`; what happens
//! when a refresh token is copied, in `domain/session.rs`.
//!
//! | to change | open |
//! |---|---|
//! | a rule | `domain/` |
//! | an endpoint | `features/<use case>.rs` |
//! | what it asks of other roles | `clients.rs` |
//! | how passwords are hashed | `hasher.rs` |
//! | what a token says, how keys rotate | `tokens.rs`, `domain/keys.rs` |
//! | what every use case shares | `service.rs` |

mod clients;
mod domain;
mod features;
mod hasher;
mod service;
mod shared_addresses;
mod store;
mod tokens;
mod turns;

use std::sync::Arc;

use bookworm_config::{Identity as Settings, Secret};
use bookworm_contracts::grpc::{
    Edge, basket::basket_client::BasketClient, notification::mailroom_client::MailroomClient,
};
use bookworm_db::{Db, DbError, Migration};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Outbox};
use bookworm_resilience::SharedLimits;
use tokio::sync::watch;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::service::Identity;
pub use crate::{
    features::ensure_admin::{AdminError, PrintedOnce},
    tokens::{AUDIENCE, PublicKeys},
};

/// What the role needs.
pub struct Dependencies {
    /// The role's database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The section `identity` of the configuration.
    pub settings: Settings,
    /// Where customers reach the shop; also the issuer of tokens, unless the settings name one.
    pub public_url: String,
    /// Merges a guest's basket at sign-in.
    pub basket: BasketClient<Edge>,
    /// Says whether a mail may be sent.
    pub mail: MailroomClient<Edge>,
    /// The limits that processes of the role share, if there are any. Without them each counts by itself.
    pub shared_limits: Option<Arc<dyn SharedLimits>>,
}

/// The identity role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IdentityService(Arc<Identity>);

impl IdentityService {
    /// The role's name, also its database's.
    pub const NAME: &str = "identity";
    /// What it publishes outside the API.
    pub const WELL_KNOWN: [&str; 2] = [features::well_known::CONFIGURATION, features::well_known::KEY_SET];
    /// Where its public keys are.
    pub const KEY_SET: &str = features::well_known::KEY_SET;

    /// Brings the schema up to date, reads the signing keys (making the first) and starts.
    ///
    /// # Errors
    /// When the database cannot be migrated or read, or the settings ask for hashes that Argon2 cannot make.
    pub async fn open(dependencies: Dependencies) -> Result<Self, DbError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, store::MIGRATIONS].concat();
        dependencies.db.migrate(&migrations, dependencies.clock.now()).await?;
        Ok(Self(Arc::new(Identity::new(dependencies).await?)))
    }

    /// The document of [`api`](Self::api): which operations it has, for a gateway in another process.
    #[must_use]
    pub fn document() -> OpenApi {
        features::routes().into_openapi()
    }

    /// Its part of the public API, without the prefix `/api/v1`.
    pub fn api(&self) -> OpenApiRouter {
        features::routes().with_state(self.0.clone())
    }

    /// `/.well-known/openid-configuration` and `/.well-known/jwks.json`, which have no prefix.
    pub fn well_known(&self) -> axum::Router {
        features::well_known::routes().with_state(self.0.clone())
    }

    /// Reactions to other services' events: there are none.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        Vec::new()
    }

    /// Its background loops.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let identity = self.0.clone();
        vec![
            features::rotate_keys::every_minute(self.0.clone()),
            features::tidy::every_hour(self.0.clone()),
            Loop::new("identity.links", move |stop| features::reset_password::finish(identity.clone(), stop)),
        ]
    }

    /// Does once what its loop does each minute: rotates the signing keys when it is time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_keys(&self) -> Result<(), DbError> {
        features::rotate_keys::rotate(&self.0).await
    }

    /// Does once what its loop does each hour: deletes expired sessions, links and failed attempts. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tidy(&self) -> Result<u64, DbError> {
        features::tidy::tidy(&self.0).await
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
    /// which is returned to be printed, and is stored nowhere). When an account with this address exists, it becomes
    /// admin and its password stays.
    ///
    /// # Errors
    /// When the address or the password is not valid, or the database fails.
    pub async fn ensure_admin(
        &self,
        email: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<Option<PrintedOnce>, AdminError> {
        features::ensure_admin::ensure_admin(&self.0, email, password).await
    }

    /// Whether there is an administrator.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_admin(&self) -> Result<bool, DbError> {
        store::any_admin(self.0.db.read()).await
    }

    /// The role's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Where its messages wait for the bus.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }
}
