use std::{fmt, sync::Arc};

use anyhow::{Context, bail};
use bookworm_config::Settings;
use bookworm_kernel::SystemClock;
use bookworm_registry::{Directory, Instance, Registry, State};

use crate::{bus, fleet::Fleet};

/// A process that was drained, or taken back.
#[derive(Debug)]
pub struct DrainedProcess {
    /// Its name.
    pub id: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Those of them of which no other instance is ready: it is still asked for these.
    pub alone: Vec<String>,
    drained: bool,
}

impl fmt::Display for DrainedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, roles, alone, drained } = self;
        let roles = roles.join(", ");
        if !drained {
            return write!(f, "{id} ({roles}) is asked again");
        }
        write!(f, "{id} ({roles}) is left alone until it ends, or `bookworm drain {id} --undo`")?;
        if !alone.is_empty() {
            write!(f, "\nno other instance is ready, so it is still asked: {}", alone.join(", "))?;
        }
        Ok(())
    }
}

/// Asks a process of the fleet, by its name in the registry, to have others leave it alone; or, with `drain` false, to be
/// asked again.
///
/// # Errors
/// When there is no registry, no such process in it, or no way there.
pub async fn drain(settings: &Settings, id: &str, drain: bool) -> anyhow::Result<DrainedProcess> {
    let fleet = Fleet::open(settings, None, Arc::new(SystemClock))?;
    if settings.nats.url.is_none() || fleet.token.is_none() {
        bail!("processes are found in the registry and believe the fleet's secret: set nats.url and fleet.token_file");
    }
    let registry = bus::registry(&settings.nats).await?;
    let listing = registry.list().await.context("the registry cannot be read")?;
    let instances: Vec<Instance> = listing.instances.into_iter().map(|entry| entry.value).collect();
    let mut roles: Vec<&Instance> = instances.iter().filter(|instance| instance.id() == id).collect();
    roles.sort_by(|one, other| one.key.cmp(&other.key));
    let Some(first) = roles.first() else {
        let mut others: Vec<&str> = instances.iter().map(Instance::id).collect();
        others.sort_unstable();
        others.dedup();
        bail!("no process named {id} is announced; there are: {}", others.join(", "));
    };
    let peers = fleet.peers(Directory::fixed([]));
    peers.drain(first, drain).await.with_context(|| format!("{id} was not reached"))?;
    let is_alone = |role: &str| {
        let others = instances.iter().filter(|instance| instance.role() == role && instance.id() != id);
        others.into_iter().all(|other| other.state != State::Ready)
    };
    let names = roles.iter().map(|instance| instance.role().to_owned());
    Ok(DrainedProcess {
        id: id.to_owned(),
        alone: if drain { names.clone().filter(|role| is_alone(role)).collect() } else { Vec::new() },
        roles: names.collect(),
        drained: drain,
    })
}
