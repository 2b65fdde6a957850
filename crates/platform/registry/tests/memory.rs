//! Registry and leases of one process pass the suites, in virtual time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_registry::{
    LIFETIME, Leases, MemoryLeases, MemoryRegistry, Registry,
    contract::{self, Bench},
};

struct Memory<S: ?Sized>(Arc<S>);

#[async_trait]
impl<S: ?Sized + Send + Sync> Bench for Memory<S> {
    type Store = S;

    async fn open(&self) -> Arc<S> {
        self.0.clone()
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    fn lifetime(&self) -> Duration {
        LIFETIME
    }
}

#[tokio::test(start_paused = true)]
async fn the_registry_passes_the_suite() {
    contract::registry(async || Memory(Arc::new(MemoryRegistry::new()) as Arc<dyn Registry>)).await;
}

#[tokio::test(start_paused = true)]
async fn the_leases_pass_the_suite() {
    contract::leases(async || Memory(Arc::new(MemoryLeases::new()) as Arc<dyn Leases>)).await;
}
