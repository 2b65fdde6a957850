use std::{fs::File, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bookworm_config::{Secret, Settings};
use bookworm_db::Databases;
use bookworm_http::auth::TokenVerifier;
use bookworm_identity::AUDIENCE;
use bookworm_kernel::{Clock, SystemClock};
use bookworm_messaging::{DbBus, SharedBus};
use tokio_util::sync::CancellationToken;

/// What every role stands on.
pub struct Foundation {
    /// The configuration.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where each service's database is.
    pub databases: Databases,
    /// Messages between services.
    pub bus: SharedBus,
    /// Checks access tokens.
    pub verifier: Arc<TokenVerifier>,
    /// The shop's address as customers see it, without a slash at its end.
    pub origin: String,
    /// Cancelled when reactions and loops must end.
    pub stop_work: CancellationToken,
    /// Held for as long as this process owns the data folder.
    _lock: Option<File>,
}

impl Foundation {
    /// Opens what the settings name. `listening` is the address that requests come to.
    ///
    /// # Errors
    /// When the data folder cannot be used or is in use, or the database cannot be opened.
    pub async fn open(settings: Settings, listening: SocketAddr, owner: Owner) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let databases = databases(&settings)?;
        let lock = match owner {
            Owner::Exclusive => Some(lock(&settings)?),
            Owner::Guest => None,
        };
        let lease = Duration::from_secs(settings.messaging.lease_seconds);
        let bus = DbBus::open(databases.open("bus").await?, clock.clone(), lease).await?;
        // A shop without an address of its own may listen elsewhere tomorrow; its tokens stay good.
        let issuer = settings
            .identity
            .issuer
            .clone()
            .or_else(|| settings.public_url.as_ref().map(|_| settings.token_issuer(listening)));
        Ok(Self {
            origin: settings.public_origin(listening),
            verifier: Arc::new(TokenVerifier::new(issuer.as_deref(), AUDIENCE, clock.clone())),
            settings,
            clock,
            databases,
            bus: Arc::new(bus),
            stop_work: CancellationToken::new(),
            _lock: lock,
        })
    }
}

/// How a process uses the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the shop itself: the only one.
    Exclusive,
    /// Beside the shop, as an import does.
    Guest,
}

fn databases(settings: &Settings) -> anyhow::Result<Databases> {
    let folder = &settings.data_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    Ok(match &settings.database.url {
        Some(url) => Databases::Postgres {
            url: Secret::expose(url).to_owned(),
            max_connections: settings.database.max_connections,
            prefix: String::new(),
        },
        None => Databases::Sqlite(folder.clone()),
    })
}

fn lock(settings: &Settings) -> anyhow::Result<File> {
    let path = settings.data_dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another bookworm is running on the data folder {}", settings.data_dir.display());
    }
    Ok(file)
}
