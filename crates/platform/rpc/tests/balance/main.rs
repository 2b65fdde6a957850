//! Which instance gets a call, in virtual time: a registry in memory, and instances that do as they are told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod network;
mod picks;
mod properties;
mod remote;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bookworm_registry::{Directory, Instance, Key, MemoryRegistry, Registry, State, contract};
use bookworm_rpc::{Balancer, EndpointStatus, Outcome, Protocol};
use tokio_util::sync::CancellationToken;

const ROLE: &str = "catalog";

fn instance(id: &str) -> Instance {
    contract::instance(ROLE, id)
}

fn key(id: &str) -> Key {
    Key::new(ROLE, id).unwrap()
}

/// A registry whose entries are written anew whenever time passes, and a balancer over it.
struct World {
    registry: MemoryRegistry,
    announced: BTreeMap<String, Instance>,
    out: BTreeMap<String, ()>,
    balancer: Balancer<String>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    async fn with(ids: &[&str]) -> Self {
        let registry = MemoryRegistry::new();
        let (directory, follower) = Directory::following(Arc::new(registry.clone()));
        let stop = CancellationToken::new();
        let until = stop.clone();
        tokio::spawn(async move { follower.run(until).await });
        let balancer = Balancer::new(ROLE, Protocol::Grpc, directory, |instance| Some(instance.id().to_owned()));
        let mut world = Self { registry, announced: BTreeMap::new(), out: BTreeMap::new(), balancer, stop };
        for id in ids {
            world.set(id, State::Ready).await;
        }
        world.pass(Duration::from_millis(10)).await;
        world
    }

    async fn set(&mut self, id: &str, state: State) {
        let instance = Instance { state, ..instance(id) };
        self.registry.announce(&instance).await.unwrap();
        self.announced.insert(id.to_owned(), instance);
        settle().await;
    }

    async fn give(&mut self, id: &str, capabilities: &[&str]) {
        let capabilities = capabilities.iter().map(ToString::to_string).collect();
        let instance = Instance { capabilities, ..self.announced[id].clone() };
        self.registry.announce(&instance).await.unwrap();
        self.announced.insert(id.to_owned(), instance);
        settle().await;
    }

    async fn remove(&mut self, id: &str) {
        self.registry.withdraw(&key(id)).await.unwrap();
        self.announced.remove(id);
        settle().await;
    }

    async fn judge(&mut self, id: &str, out: bool) {
        if out {
            self.registry.judge(&contract::verdict(&instance(id))).await.unwrap();
            self.out.insert(id.to_owned(), ());
        } else {
            self.registry.acquit(&key(id)).await.unwrap();
            self.out.remove(id);
        }
        settle().await;
    }

    /// Lets time pass, while everybody goes on announcing itself.
    async fn pass(&self, mut time: Duration) {
        while !time.is_zero() {
            let step = time.min(Duration::from_secs(5));
            tokio::time::sleep(step).await;
            for instance in self.announced.values() {
                self.registry.announce(instance).await.unwrap();
            }
            for id in self.out.keys() {
                self.registry.judge(&contract::verdict(&instance(id))).await.unwrap();
            }
            time -= step;
        }
        settle().await;
    }

    /// One call that takes this long.
    async fn call(&self, took: Duration, outcome: impl FnOnce(&str) -> Outcome) -> String {
        let picked = self.balancer.pick(&[]).await.unwrap();
        let id = picked.connection();
        tokio::time::sleep(took).await;
        let outcome = outcome(&id);
        picked.report(outcome);
        id
    }

    fn status(&self, id: &str) -> EndpointStatus {
        self.balancer.endpoints().into_iter().find(|status| status.key.id() == id).unwrap()
    }

    fn ejected(&self) -> Vec<String> {
        let endpoints = self.balancer.endpoints().into_iter();
        endpoints.filter(|status| status.ejected).map(|status| status.key.id().to_owned()).collect()
    }
}

/// Lets the directory hear what was said. Virtual time stands still for tasks that are ready.
async fn settle() {
    tokio::time::sleep(Duration::from_micros(1)).await;
}
