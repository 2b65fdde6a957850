use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bookworm_config::{Secret, Settings};
use bookworm_db::{Databases, Db, DbError};
use bookworm_fleet::Peers;
use bookworm_http::auth::TokenVerifier;
use bookworm_identity::AUDIENCE;
use bookworm_kernel::{Clock, SystemClock};
use bookworm_messaging::{BusError, Envelope, SharedBus, undelivered};
use bookworm_nats::NatsBus;
use bookworm_registry::{Directory, Follower, Leases, Registry};
use bookworm_resilience::StartWait;
use tokio_util::sync::CancellationToken;

use crate::{
    Role, Roles, bus,
    fleet::Fleet,
    folder::{self, Lock},
    inventory::{Inventory, Missing},
    redis,
};

/// What every role stands on.
pub struct Foundation {
    /// The configuration.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The databases of this shop.
    pub inventory: Inventory,
    /// The database of the embedded bus and of the dead letters of any.
    pub bus_db: Db,
    /// Messages between services.
    pub bus: SharedBus,
    /// The same when it is NATS: then other processes share it.
    pub nats: Option<NatsBus>,
    /// What processes share in memory; `None` when each is by itself.
    pub redis: Option<redis::Shared>,
    /// What only one of several processes need do.
    pub leases: Arc<dyn Leases>,
    /// Where the instances of the shop's roles announce themselves: shared with other processes when the bus is NATS.
    pub registry: Arc<dyn Registry>,
    /// What is announced there, this process's own roles included, while `follower` runs.
    pub directory: Directory,
    /// Brings the directory what is new.
    pub follower: Follower,
    /// Checks access tokens.
    pub verifier: Arc<TokenVerifier>,
    /// The shop's other processes.
    pub fleet: Fleet,
    /// The ways to them.
    pub peers: Peers,
    /// The shop's address as customers see it, without a slash at its end.
    pub origin: String,
    /// Cancelled when reactions and loops must end.
    pub stop_work: CancellationToken,
    _lock: Option<Lock>,
}

impl Foundation {
    /// Opens what the settings name. `recreate` names databases that the operator has given up, to be made anew where
    /// they are missing or belong to another shop.
    ///
    /// # Errors
    /// When the data folder cannot be used or is in use, a database cannot be opened, is missing, or belongs to another
    /// shop, or, for the shop itself, a role lacks another.
    pub async fn open(
        settings: Settings,
        addresses: Addresses,
        owner: Owner,
        recreate: Vec<String>,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let Addresses { public: listening, internal } = addresses;
        let roles = Roles::parse(&settings.roles)?;
        let fleet = Fleet::open(&settings, internal, clock.clone())?;
        if owner == Owner::Exclusive {
            fleet.check(&settings, &roles)?;
        }
        if owner == Owner::Reader && !settings.data_dir.is_dir() {
            bail!("there is no data folder {}; is --data-dir right?", settings.data_dir.display());
        }
        // Whoever only reads may have named a folder that is no shop's: it is left as it is until a shop is found there.
        if owner != Owner::Reader {
            folder::prepare(&settings.data_dir)?;
        }
        let lock = match owner {
            Owner::Exclusive => Some(folder::lock(&settings.data_dir)?),
            Owner::Guest | Owner::Reader => None,
        };
        let missing = if owner == Owner::Reader { Missing::Refuse } else { Missing::Make };
        let sharing = [Role::Gateway, Role::Chat, Role::Identity];
        let shares = owner == Owner::Exclusive && sharing.into_iter().any(|role| roles.has(role));
        let redis = if shares { redis::open(&settings.redis).await? } else { None };
        let databases = databases(&settings, owner, &roles)?;
        reach(&settings, &databases).await?;
        if owner == Owner::Exclusive {
            databases.check_connections(count(&roles)).await?;
        }
        let inventory = Inventory::open(databases, missing, recreate, clock.now()).await?;
        if owner == Owner::Reader {
            folder::prepare(&settings.data_dir)?;
        }
        let bus_db = inventory.database("bus").await?;
        let bus::Shared { bus, nats, leases, registry } = bus::open(&settings, &bus_db, &clock, owner).await?;
        let (directory, follower) = Directory::following(registry.clone());
        let peers = fleet.peers(directory.clone());
        // A shop without an address of its own may listen elsewhere tomorrow; its tokens stay good.
        let issuer = settings
            .identity
            .issuer
            .clone()
            .or_else(|| settings.public_url.as_ref().map(|_| settings.token_issuer(listening)));
        Ok(Self {
            origin: settings.public_origin(listening),
            verifier: Arc::new(fleet.with_keys(
                TokenVerifier::new(issuer.as_deref(), AUDIENCE, clock.clone()),
                &roles,
                &peers,
            )),
            fleet,
            peers,
            settings,
            clock,
            inventory,
            bus_db,
            bus,
            nats,
            redis,
            leases,
            registry,
            directory,
            follower,
            stop_work: CancellationToken::new(),
            _lock: lock,
        })
    }
}

impl Foundation {
    /// Shows the messages on the bus that some consumer may not have dealt with.
    ///
    /// # Errors
    /// When the bus does not answer.
    pub async fn undelivered(&self, mut visit: impl FnMut(Envelope)) -> Result<(), BusError> {
        // Also with NATS: what the embedded bus still has is handed over when the shop starts.
        undelivered(&self.bus_db, &mut visit).await?;
        match &self.nats {
            Some(nats) => nats.undelivered(visit).await,
            None => Ok(()),
        }
    }
}

/// Where a process listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// To the public.
    pub public: SocketAddr,
    /// To the shop's other processes.
    pub internal: Option<SocketAddr>,
}

impl Addresses {
    /// Of a command, which does not listen: where the shop would.
    pub fn of(settings: &Settings) -> Self {
        Self { public: settings.listen, internal: None }
    }
}

/// How a process uses the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the shop itself: the only one.
    Exclusive,
    /// Beside the shop, as an import does; makes a new shop where there is none.
    Guest,
    /// Beside the shop, to look at what is there.
    Reader,
}

/// How many databases a process with these roles opens: theirs, and that of the bus and the dead letters.
fn count(roles: &Roles) -> u32 {
    let of_roles = roles.iter().map(|role| role.databases().len()).sum::<usize>();
    u32::try_from(of_roles).unwrap_or(u32::MAX).saturating_add(1)
}

/// What a command opens of each database: it does one thing after the other.
const OF_A_COMMAND: u32 = 4;
/// With one connection each, whoever waits for the disk has all others of its service wait.
const AT_LEAST: u32 = 2;

/// Where the settings say that the databases are.
pub fn databases(settings: &Settings, owner: Owner, roles: &Roles) -> anyhow::Result<Databases> {
    let Some(url) = &settings.database.url else { return Ok(Databases::Sqlite(settings.data_dir.clone())) };
    let max_connections = match owner {
        Owner::Exclusive => share(settings.database.max_connections, count(roles))?,
        Owner::Guest | Owner::Reader => OF_A_COMMAND,
    };
    Ok(Databases::Postgres {
        url: Secret::expose(url).to_owned(),
        max_connections,
        statement_timeout: Duration::from_secs(settings.database.statement_timeout_seconds),
        prefix: String::new(),
    })
}

/// Waits for the server that the databases are on.
///
/// # Errors
/// When it does not answer in time, or cannot be used as the settings say.
pub async fn reach(settings: &Settings, databases: &Databases) -> anyhow::Result<()> {
    let mut wait = StartWait::new("PostgreSQL", Duration::from_secs(settings.database.connect_timeout_seconds));
    let reached = wait.until(|left| databases.reach(left), DbError::may_pass).await;
    reached.context("PostgreSQL, which database.url names, cannot be used")
}

/// What each of so many databases has of the process's connections: as many as any other, so that none starves another.
fn share(connections: u32, databases: u32) -> anyhow::Result<u32> {
    let each = connections / databases;
    if each < AT_LEAST {
        bail!(
            "database.max_connections is {connections}, and the roles of this process have {databases} databases: {} \
             connections at least, {AT_LEAST} for each",
            databases * AT_LEAST
        );
    }
    Ok(each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_share_the_connections_of_their_process() {
        let all = Roles::parse(&[]).unwrap();
        assert_eq!(count(&all), 10);
        assert_eq!(share(Settings::default().database.max_connections, count(&all)).unwrap(), 4);
        let one = Roles::parse(&["catalog".to_owned()]).unwrap();
        assert_eq!(share(9, count(&one)).unwrap(), 4, "never more together");
        assert_eq!(share(20, 10).unwrap(), 2);
        assert_eq!(
            share(19, 10).unwrap_err().to_string(),
            "database.max_connections is 19, and the roles of this process have 10 databases: 20 connections at least, \
             2 for each"
        );
    }
}
