use std::{collections::BTreeSet, fmt, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use anyhow::{Context, bail};
use bookworm_config::{AiProvider, Database, Settings};
use bookworm_db::{Databases, Pool, Sql};

use crate::{
    FirstAdmin, Roles, bus, fleet,
    foundation::{Addresses, Foundation, Owner, databases, reach},
    inventory::migrations,
    part::Part,
    redis, roles, secret,
};

/// The oldest PostgreSQL, as `server_version_num` writes it.
const OLDEST_POSTGRES: i64 = 130_000;
/// Who may read a secret beside its owner.
const OTHERS: u32 = 0o077;

/// Whether there was something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was done now.
    Now,
    /// It had been done before.
    Before,
}

/// One thing that an installation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whether it was done now.
    pub done: Done,
    /// What it is, and what came of it.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match self.done {
            Done::Now => "made ",
            Done::Before => "found",
        };
        write!(f, "{done}  {}", self.text)
    }
}

/// What the caller is to show once.
#[derive(Default)]
pub struct Initialised {
    /// The administrator whose password was made up.
    pub first_admin: Option<FirstAdmin>,
}

/// Makes everything that the processes of a shop share: the fleet's secret, every role's tables, NATS's stream and buckets,
/// the keys that sign tokens, the first administrator, and demonstration books where the settings want them. What is there
/// stays as it is, so it can be repeated, also beside a running fleet. Each step is shown when it is done.
///
/// It builds every role, as a process with all of them does at its start, and starts none of their work: so nothing that a
/// role makes at its start can be forgotten here.
///
/// # Errors
/// When an engine does not answer, is too old, or is not set up for this; when a secret cannot be written, or is not one;
/// when a database is missing or belongs to another shop.
pub async fn init(settings: Settings, mut show: impl FnMut(Step)) -> anyhow::Result<Initialised> {
    let mut step = |done: Done, text: String| show(Step { done, text });
    fleet_secret(&settings, &mut step)?;
    certificates(&settings, &mut step)?;
    let databases = databases(&settings, Owner::Guest, &Roles::parse(&[])?)?;
    reach(&settings, &databases).await?;
    postgres(&databases, &mut step).await?;
    redis(&settings, &mut step).await?;
    let streams_before = streams(&settings, &mut step).await?;
    let migrations_before = migrations(&databases).await?;

    let settings = of_init(settings);
    let (demo, admin) = (settings.demo, settings.admin.email.clone());
    let (mongodb, prefix) = (settings.mongodb.url.is_some(), settings.nats.stream.clone());
    let nats = settings.nats.clone();
    let addresses = Addresses::of(&settings);
    let foundation = Foundation::open(settings, addresses, Owner::Exclusive, Vec::new()).await?;
    let part = roles::build(&foundation, &Roles::parse(&[])?).await?;
    foundation.inventory.close().await;
    let Part { stores, first_admin, made_admin, demo_books, .. } = part;

    for (name, count) in migrations(&databases).await? {
        let before = migrations_before.get(&name).copied().unwrap_or_default();
        let (done, what) = match count - before {
            0 => (Done::Before, format!("up to date ({count} migrations)")),
            new => (Done::Now, format!("{new} migrations applied, {count} in all")),
        };
        step(done, format!("database {name}: {what}"));
    }
    if let Some(before) = streams_before {
        for name in ours(bus::connect(&nats).await?.streams().await?, &prefix) {
            let done = if before.contains(&name) { Done::Before } else { Done::Now };
            match name.strip_prefix("KV_") {
                Some(bucket) => step(done, format!("NATS bucket {bucket}")),
                None => step(done, format!("NATS stream {name}")),
            }
        }
    }
    if mongodb {
        step(Done::Before, "MongoDB for conversations: it answers, with collections and indexes".to_owned());
    }
    match (made_admin, admin) {
        (false, _) => step(Done::Before, "an administrator".to_owned()),
        (true, Some(email)) => {
            step(Done::Now, format!("the administrator {email}, with the password of admin.password"))
        }
        (true, None) => step(Done::Now, "an administrator, whose password follows".to_owned()),
    }
    match demo_books {
        Some(books) => step(Done::Now, format!("{books} demonstration books")),
        None if demo => step(Done::Before, "books".to_owned()),
        None => {}
    }
    for store in stores {
        store.close.await;
    }
    foundation.bus_db.close().await;
    Ok(Initialised { first_admin })
}

/// A process with every role, that meets nobody and computes nothing.
fn of_init(mut settings: Settings) -> Settings {
    settings.roles = Vec::new();
    settings.ai.provider = AiProvider::Off;
    settings.fleet.endpoints.clear();
    // A process of one role may have fewer than all roles need.
    settings.database.max_connections = settings.database.max_connections.max(Database::default().max_connections);
    settings
}

fn fleet_secret(settings: &Settings, step: &mut impl FnMut(Done, String)) -> anyhow::Result<()> {
    let fleet = &settings.fleet;
    let Some(file) = &fleet.token_file else {
        if fleet.token.is_some() {
            step(Done::Before, "the fleet's secret: fleet.token".to_owned());
        } else if settings.nats.url.is_some() {
            // One process on NATS needs none; several do, and should hear it here.
            step(Done::Before, "no secret of a fleet: for several processes set fleet.token_file".to_owned());
        }
        return Ok(());
    };
    let made = secret::make_token(file).with_context(|| format!("cannot write fleet.token_file {}", file.display()))?;
    fleet.secret().map_err(|error| anyhow::anyhow!("fleet.token_file: {error}"))?;
    let shown = format!("the fleet's secret: {}", file.display());
    if made {
        step(Done::Now, format!("{shown} (mode 0600); every machine of the fleet needs a copy"));
    } else {
        step(Done::Before, format!("{shown}{}", readers(file)));
    }
    Ok(())
}

/// Whether the processes can speak TLS with each other. What cannot be used is an error that says how good ones are made.
fn certificates(settings: &Settings, step: &mut impl FnMut(Done, String)) -> anyhow::Result<()> {
    if fleet::certificates(&settings.fleet)?.is_some() {
        step(Done::Before, "certificates of the fleet: its authority vouches for this one".to_owned());
    }
    Ok(())
}

/// Who else can read a secret, if anybody can.
fn readers(file: &Path) -> &'static str {
    match std::fs::metadata(file) {
        Ok(meta) if meta.permissions().mode() & OTHERS != 0 => {
            ", which others than its owner can read: chmod 600 unless that is meant"
        }
        _ => "",
    }
}

async fn postgres(databases: &Databases, step: &mut impl FnMut(Done, String)) -> anyhow::Result<()> {
    let Databases::Postgres { url, .. } = databases else { return Ok(()) };
    let server = Pool::connect(url).await.context("PostgreSQL, which database.url names, cannot be used")?;
    let release = server.scalar::<String>("SHOW server_version", []).await;
    let number = server.scalar::<i64>("SELECT current_setting('server_version_num')::bigint", []).await;
    let standby = server.scalar::<bool>("SELECT pg_is_in_recovery()", []).await;
    server.close().await;
    let release = release?.unwrap_or_default();
    if number?.unwrap_or_default() < OLDEST_POSTGRES {
        bail!("the PostgreSQL server is release {release}; {} or newer is needed", OLDEST_POSTGRES / 10_000);
    }
    if standby? == Some(true) {
        bail!("the PostgreSQL server is a standby, which takes no writes; name the primary in database.url");
    }
    step(Done::Before, format!("PostgreSQL {release}"));
    Ok(())
}

async fn redis(settings: &Settings, step: &mut impl FnMut(Done, String)) -> anyhow::Result<()> {
    let Some(redis) = redis::open(&settings.redis).await? else { return Ok(()) };
    let within = Duration::from_secs(settings.redis.connect_timeout_seconds);
    redis.wait(within).await.context("Redis, which the section [redis] names, cannot be used")?;
    step(Done::Before, "Redis".to_owned());
    Ok(())
}

/// The shop's streams that NATS has; `None` where it is not used.
async fn streams(settings: &Settings, step: &mut impl FnMut(Done, String)) -> anyhow::Result<Option<BTreeSet<String>>> {
    if settings.nats.url.is_none() {
        return Ok(None);
    }
    let nats = bus::connect(&settings.nats).await?;
    step(Done::Before, format!("NATS {}", nats.release()));
    Ok(Some(ours(nats.streams().await?, &settings.nats.stream)))
}

/// Of all streams of the account those of this shop, buckets included.
fn ours(streams: BTreeSet<String>, stream: &str) -> BTreeSet<String> {
    let bucket = format!("KV_{stream}_");
    streams.into_iter().filter(|name| name == stream || name.starts_with(&bucket)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_has_its_own_streams() {
        let streams = ["SHOP", "KV_SHOP_leases", "SHOP2", "KV_SHOP2_leases", "KV_OTHER"].map(str::to_owned);
        let ours = ours(streams.into_iter().collect(), "SHOP");
        assert_eq!(ours.into_iter().collect::<Vec<_>>(), ["KV_SHOP_leases", "SHOP"]);
    }

    #[test]
    fn a_step_says_whether_it_was_done_now() {
        let step = |done| Step { done, text: "NATS stream SHOP".to_owned() }.to_string();
        assert_eq!([step(Done::Now), step(Done::Before)], ["made   NATS stream SHOP", "found  NATS stream SHOP"]);
    }
}
