//! What instances, directories and leaders do when the store is away, slow or empty. All in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod directory;
mod leader;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bookworm_registry::{
    Changes, Grant, Instance, Key, Leases, Listing, MemoryLeases, MemoryRegistry, Registry, RegistryError, Verdict,
};
use futures::StreamExt;

/// A store that can be away, for one of its users.
#[derive(Clone, Default)]
struct Link(Arc<AtomicU8>);

const UP: u8 = 0;
const REFUSES: u8 = 1;
const HANGS: u8 = 2;

impl Link {
    fn set(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }

    async fn pass<T>(&self, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        match self.0.load(Ordering::SeqCst) {
            UP => work.await,
            REFUSES => Err(RegistryError::Unavailable("refused".into())),
            _ => std::future::pending().await,
        }
    }
}

/// A registry behind a link. While the link is down a watch is silent, as a connection that was cut is.
struct Far<S> {
    store: S,
    link: Link,
}

#[async_trait]
impl Registry for Far<MemoryRegistry> {
    async fn announce(&self, instance: &Instance) -> Result<(), RegistryError> {
        self.link.pass(self.store.announce(instance)).await
    }

    async fn withdraw(&self, key: &Key) -> Result<(), RegistryError> {
        self.link.pass(self.store.withdraw(key)).await
    }

    async fn judge(&self, verdict: &Verdict) -> Result<(), RegistryError> {
        self.link.pass(self.store.judge(verdict)).await
    }

    async fn acquit(&self, key: &Key) -> Result<(), RegistryError> {
        self.link.pass(self.store.acquit(key)).await
    }

    async fn list(&self) -> Result<Listing, RegistryError> {
        self.link.pass(self.store.list()).await
    }

    async fn watch(&self) -> Result<Changes, RegistryError> {
        let link = self.link.clone();
        let changes = self.link.pass(self.store.watch()).await?;
        Ok(changes.filter(move |_| futures::future::ready(link.0.load(Ordering::SeqCst) == UP)).boxed())
    }
}

#[async_trait]
impl Leases for Far<MemoryLeases> {
    async fn acquire(&self, name: &str, holder: &str) -> Result<Option<Grant>, RegistryError> {
        self.link.pass(self.store.acquire(name, holder)).await
    }

    async fn renew(&self, grant: &Grant) -> Result<Option<Grant>, RegistryError> {
        self.link.pass(self.store.renew(grant)).await
    }

    async fn release(&self, grant: &Grant) -> Result<(), RegistryError> {
        self.link.pass(self.store.release(grant)).await
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
