//! What every use case of identity needs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bookworm_db::{Db, DbError};
use bookworm_kernel::{Clock, Timestamp};
use bookworm_messaging::Outbox;
use tokio_util::task::TaskTracker;

use crate::{
    Dependencies,
    clients::Clients,
    domain::{AddressLimit, Backoff, SessionRules},
    hasher::Hasher,
    shared_addresses::SharedAddresses,
    tokens::Tokens,
    turns::Turns,
};

#[derive(Debug)]
pub(crate) struct Identity {
    pub db: Db,
    pub outbox: Outbox,
    pub clock: Arc<dyn Clock>,
    /// Where customers reach the shop, without a slash at its end.
    pub public_url: String,
    pub hasher: Hasher,
    pub tokens: Tokens,
    pub sessions: SessionRules,
    pub backoff: Backoff,
    addresses: Mutex<AddressLimit>,
    /// The same for all processes of the role together.
    pub shared_addresses: Option<SharedAddresses>,
    /// Attempts to sign in that are being checked.
    pub turns: Turns,
    /// What goes on after its request was answered.
    pub tasks: TaskTracker,
    pub clients: Clients,
}

impl Identity {
    /// Reads the signing keys (making the first) from a database whose schema is up to date.
    pub async fn new(dependencies: Dependencies) -> Result<Self, DbError> {
        let Dependencies { db, clock, settings, public_url, basket, mail, shared_limits } = dependencies;
        let hasher = Hasher::new(&settings.argon2)
            .map_err(|error| DbError::Corrupt(format!("the settings identity.argon2: {error}")))?;
        let public_url = public_url.trim_end_matches('/').to_owned();
        let issuer = settings.issuer.as_deref().unwrap_or(&public_url);
        let tokens = Tokens::open(&db, issuer, minutes(settings.access_token_minutes), clock.now()).await?;
        let lockout = &settings.lockout;
        Ok(Self {
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
            shared_addresses: shared_limits.map(|all| SharedAddresses::new(all, lockout.per_address_per_minute)),
            turns: Turns::default(),
            tasks: TaskTracker::new(),
            db,
            clock,
            public_url,
            clients: Clients { basket, mail },
        })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How often each client address has tried lately.
    pub fn addresses(&self) -> MutexGuard<'_, AddressLimit> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn minutes(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 60)
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}
