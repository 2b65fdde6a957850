//! Registry and leases in buckets pass their contracts on a real server, and live on when it was killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::{marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_nats::{Nats, NatsLeases, NatsRegistry};
use bookworm_registry::{Leases, Registry, contract};
use bookworm_testing::{NatsServer, eventually, nats_stream, nats_url};

use common::options;

/// Long enough for a busy machine.
const LIFETIME: Duration = Duration::from_secs(3);

struct Bench<S: ?Sized> {
    nats: Nats,
    stream: String,
    store: PhantomData<fn() -> Box<S>>,
}

#[async_trait]
trait Open: Send + Sync {
    async fn open(nats: &Nats, stream: &str) -> Arc<Self>;
}

#[async_trait]
impl Open for dyn Registry {
    async fn open(nats: &Nats, stream: &str) -> Arc<Self> {
        Arc::new(NatsRegistry::open(nats.clone(), stream, LIFETIME, 1).await.unwrap())
    }
}

#[async_trait]
impl Open for dyn Leases {
    async fn open(nats: &Nats, stream: &str) -> Arc<Self> {
        Arc::new(NatsLeases::open(nats.clone(), stream, LIFETIME, 1).await.unwrap())
    }
}

#[async_trait]
impl<S: Open + ?Sized + 'static> contract::Bench for Bench<S> {
    type Store = S;

    async fn open(&self) -> Arc<S> {
        S::open(&self.nats, &self.stream).await
    }
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
    fn lifetime(&self) -> Duration {
        LIFETIME
    }
}

async fn bench<S: ?Sized>(url: &str) -> Bench<S> {
    Bench { nats: Nats::connect(options(url)).await.unwrap(), stream: nats_stream(), store: PhantomData }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_registry_passes_its_contract() {
    let Some(url) = nats_url() else { return };
    contract::registry(async || bench::<dyn Registry>(&url).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_leases_pass_their_contract() {
    let Some(url) = nats_url() else { return };
    contract::leases(async || bench::<dyn Leases>(&url).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fence_grows_over_the_end_of_the_server_which_is_an_error_meanwhile() {
    let Some(mut server) = NatsServer::start() else { return };
    let nats = Nats::connect(options(&server.url())).await.unwrap();
    let leases = NatsLeases::open(nats.clone(), "BOOKWORM", LIFETIME, 1).await.unwrap();
    let registry = NatsRegistry::open(nats, "BOOKWORM", LIFETIME, 1).await.unwrap();
    let one = contract::instance("catalog", "one");
    let first = leases.acquire("desk", "one").await.unwrap().unwrap();
    server.kill();
    assert!(leases.renew(&first).await.is_err());
    assert!(registry.announce(&one).await.is_err());
    assert!(registry.list().await.is_err());
    server.start_again();
    eventually("it is announced again", async || registry.announce(&one).await.is_ok()).await;
    assert_eq!(registry.list().await.unwrap().instances.len(), 1);
    let mut second = None;
    eventually("the lease can be had again", async || {
        second = leases.acquire("desk", "two").await.ok().flatten();
        second.is_some()
    })
    .await;
    assert!(second.unwrap().fence > first.fence);
}
