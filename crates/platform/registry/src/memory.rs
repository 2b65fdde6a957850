//! A registry and leases for one process, on its monotonic clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use crate::{
    Change, Changes, Grant, Instance, Key, LIFETIME, Leases, Listing, Registry, RegistryError, Revised, Verdict,
};

/// How many changes a watcher may be behind.
const BEHIND: usize = 1_024;

/// A [`Registry`] for one process. Cheap to clone; clones are the same registry.
#[derive(Debug, Clone)]
pub struct MemoryRegistry(Arc<Mutex<Entries>>);

#[derive(Debug)]
struct Entries {
    revision: u64,
    instances: HashMap<Key, Written<Instance>>,
    verdicts: HashMap<Key, Written<Verdict>>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug)]
struct Written<T> {
    entry: Revised<T>,
    at: Instant,
}

impl<T> Written<T> {
    fn lives(&self) -> bool {
        self.at.elapsed() < LIFETIME
    }
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Mutex::new(Entries {
            revision: 0,
            instances: HashMap::new(),
            verdicts: HashMap::new(),
            changes,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl Entries {
    fn revise<T>(&mut self, value: T) -> Revised<T> {
        self.revision += 1;
        Revised { revision: self.revision, value }
    }

    fn report(&self, change: Change) {
        // An error means that nobody watches.
        let _ = self.changes.send(change);
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn announce(&self, instance: &Instance) -> Result<(), RegistryError> {
        let mut entries = self.lock();
        let entry = entries.revise(instance.clone());
        entries.instances.insert(instance.key.clone(), Written { entry: entry.clone(), at: Instant::now() });
        entries.report(Change::Announced(entry));
        Ok(())
    }

    async fn withdraw(&self, key: &Key) -> Result<(), RegistryError> {
        let mut entries = self.lock();
        if entries.instances.remove(key).is_some() {
            entries.report(Change::Withdrawn(key.clone()));
        }
        Ok(())
    }

    async fn judge(&self, verdict: &Verdict) -> Result<(), RegistryError> {
        let mut entries = self.lock();
        let entry = entries.revise(verdict.clone());
        entries.verdicts.insert(verdict.key.clone(), Written { entry: entry.clone(), at: Instant::now() });
        entries.report(Change::Judged(entry));
        Ok(())
    }

    async fn acquit(&self, key: &Key) -> Result<(), RegistryError> {
        let mut entries = self.lock();
        if entries.verdicts.remove(key).is_some() {
            entries.report(Change::Acquitted(key.clone()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Listing, RegistryError> {
        let mut entries = self.lock();
        entries.instances.retain(|_, written| written.lives());
        entries.verdicts.retain(|_, written| written.lives());
        Ok(Listing {
            instances: entries.instances.values().map(|written| written.entry.clone()).collect(),
            verdicts: entries.verdicts.values().map(|written| written.entry.clone()).collect(),
        })
    }

    async fn watch(&self) -> Result<Changes, RegistryError> {
        let changes = self.lock().changes.subscribe();
        let next = |mut changes: broadcast::Receiver<Change>| async move {
            match changes.recv().await {
                Ok(change) => Some((change, changes)),
                // Some were missed, or the registry is gone.
                Err(RecvError::Lagged(_) | RecvError::Closed) => None,
            }
        };
        Ok(stream::unfold(changes, move |changes| next(changes).boxed()).boxed())
    }
}

/// [`Leases`] for one process: with nobody else there, a lease is granted at once. Cheap to clone; clones are the same
/// leases.
#[derive(Debug, Clone, Default)]
pub struct MemoryLeases(Arc<Mutex<Granted>>);

#[derive(Debug, Default)]
struct Granted {
    revision: u64,
    leases: HashMap<String, (Grant, Instant)>,
}

impl Granted {
    /// The lease, unless it lapsed.
    fn current(&self, name: &str) -> Option<&Grant> {
        self.leases.get(name).filter(|(_, at)| at.elapsed() < LIFETIME).map(|(grant, _)| grant)
    }

    fn write(&mut self, grant: impl FnOnce(u64) -> Grant) -> Grant {
        self.revision += 1;
        let grant = grant(self.revision);
        self.leases.insert(grant.name.clone(), (grant.clone(), Instant::now()));
        grant
    }
}

impl MemoryLeases {
    /// All free.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Granted> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(&self, name: &str, holder: &str) -> Result<Option<Grant>, RegistryError> {
        let mut granted = self.lock();
        if granted.current(name).is_some() {
            return Ok(None);
        }
        let (name, holder) = (name.to_owned(), holder.to_owned());
        Ok(Some(granted.write(|revision| Grant { name, holder, fence: revision, revision })))
    }

    async fn renew(&self, grant: &Grant) -> Result<Option<Grant>, RegistryError> {
        let mut granted = self.lock();
        if granted.current(&grant.name) != Some(grant) {
            return Ok(None);
        }
        Ok(Some(granted.write(|revision| Grant { revision, ..grant.clone() })))
    }

    async fn release(&self, grant: &Grant) -> Result<(), RegistryError> {
        let mut granted = self.lock();
        if granted.current(&grant.name) == Some(grant) {
            granted.leases.remove(&grant.name);
        }
        Ok(())
    }
}
