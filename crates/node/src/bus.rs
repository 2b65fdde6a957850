//! Which bus the shop's messages travel through, and whose registry and leases its processes share: embedded ones, or
//! NATS's.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use bookworm_config::{Nats as NatsSettings, Secret, Settings};
use bookworm_db::Db;
use bookworm_kernel::Clock;
use bookworm_messaging::{DbBus, DbDeadLetters, DeadLetters, SharedBus, hand_over};
use bookworm_nats::{ConnectOptions, Login, Nats, NatsBus, NatsRegistry, OpenError};
use bookworm_registry::{LIFETIME, Leases, MemoryLeases, MemoryRegistry, Registry};
use bookworm_resilience::StartWait;

use crate::foundation::Owner;

/// What the processes of a shop share.
pub struct Shared {
    pub bus: SharedBus,
    /// The same when it is NATS.
    pub nats: Option<NatsBus>,
    /// NATS's leases; in memory where this process is the whole shop.
    pub leases: Arc<dyn Leases>,
    /// NATS's registry; in memory, for this process alone, without NATS.
    pub registry: Arc<dyn Registry>,
}

/// Opens the bus that the settings name, and what comes with it.
pub async fn open(settings: &Settings, db: &Db, clock: &Arc<dyn Clock>, owner: Owner) -> anyhow::Result<Shared> {
    let lease = Duration::from_secs(settings.messaging.lease_seconds);
    if settings.nats.url.is_none() {
        let bus = Arc::new(DbBus::open(db.clone(), clock.clone(), lease).await?);
        let (leases, registry) = (Arc::new(MemoryLeases::new()), Arc::new(MemoryRegistry::new()));
        return Ok(Shared { bus, nats: None, leases, registry });
    }
    let dead_letters: Arc<dyn DeadLetters> = Arc::new(DbDeadLetters::open(db.clone(), clock.clone()).await?);
    let mut wait = waiting(&settings.nats);
    let nats = connect(&settings.nats).await?;
    let stream = stream(settings, lease);
    let opened = wait.until(|_| NatsBus::open(nats.clone(), stream.clone(), dead_letters.clone()), OpenError::may_pass);
    let bus = opened.await?;
    let leases = wait.until(|_| bus.leases(), OpenError::may_pass).await?;
    let registry = wait.until(|_| bus.registry(), OpenError::may_pass).await?;
    if owner == Owner::Exclusive {
        let handed = hand_over(db, &bus).await.context("cannot hand the embedded bus's messages to NATS")?;
        if handed > 0 {
            tracing::info!(handed, "messages of the embedded bus were handed to NATS");
        }
    }
    let (leases, registry) = (Arc::new(leases), Arc::new(registry));
    Ok(Shared { bus: Arc::new(bus.clone()), nats: Some(bus), leases, registry })
}

/// The registry alone, for a command that looks for processes.
///
/// # Errors
/// When NATS cannot be reached.
pub async fn registry(settings: &NatsSettings) -> anyhow::Result<NatsRegistry> {
    let mut wait = waiting(settings);
    let nats = connect(settings).await?;
    let replicas = settings.replicas as usize;
    let open = |_| NatsRegistry::open(nats.clone(), &settings.stream, LIFETIME, replicas);
    Ok(wait.until(open, OpenError::may_pass).await?)
}

/// For the server to come, and to make what it is asked for.
fn waiting(settings: &NatsSettings) -> StartWait {
    StartWait::new("NATS", Duration::from_secs(settings.connect_timeout_seconds))
}

/// A connection, as soon as there is one.
///
/// # Errors
/// When NATS cannot be reached, or used as it is.
pub async fn connect(settings: &NatsSettings) -> anyhow::Result<Nats> {
    Ok(Nats::connect(connection(settings)?).await?)
}

fn stream(settings: &Settings, lease: Duration) -> bookworm_nats::Settings {
    bookworm_nats::Settings {
        stream: settings.nats.stream.clone(),
        replicas: settings.nats.replicas as usize,
        max_bytes: i64::from(settings.nats.max_mib) << 20,
        // As long as an inbox remembers.
        max_age: Duration::from_secs(u64::from(settings.messaging.retention_days) * 2 * 24 * 3600),
        lease,
    }
}

fn connection(settings: &NatsSettings) -> anyhow::Result<ConnectOptions> {
    let password = value(settings.password.as_ref(), settings.password_file.as_deref())?;
    let token = value(settings.token.as_ref(), settings.token_file.as_deref())?;
    let nkey = value(settings.nkey.as_ref(), settings.nkey_file.as_deref())?;
    let credentials = settings.credentials_file.as_deref().map(read).transpose()?;
    let login = match (&settings.username, password) {
        (Some(username), Some(password)) => Some(Login::User(username.clone(), password)),
        _ => token.map(Login::Token).or(nkey.map(Login::Nkey)).or(credentials.map(Login::Credentials)),
    };
    for file in [&settings.ca_file, &settings.certificate_file, &settings.key_file].into_iter().flatten() {
        read(file)?;
    }
    Ok(ConnectOptions {
        servers: settings.servers(),
        name: "bookworm".to_owned(),
        login,
        ca_file: settings.ca_file.clone(),
        client_certificate: settings.certificate_file.clone().zip(settings.key_file.clone()),
        tls: settings.tls || settings.servers().iter().any(|server| server.starts_with("tls://")),
        connect_timeout: Duration::from_secs(settings.connect_timeout_seconds),
    })
}

/// A secret, from the settings or from the file that they name.
fn value(secret: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (secret, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(file)) => Ok(Some(read(file)?.trim().to_owned())),
        (None, None) => Ok(None),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}, which the section [nats] names", file.display()))
}
