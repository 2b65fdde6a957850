//! What every [`Registry`] and every [`Leases`] must do, as tests over `dyn`. The crate of an implementation calls
//! [`registry`] and [`leases`] from tests of its own.
//!
//! Time is the store's: the suites compare no clocks, and ask the bench to let time pass. A bench on a real server may
//! give its entries a shorter life than [`LIFETIME`](crate::LIFETIME); it says how long.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod leases;
mod registry;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{
    leases::run as leases,
    registry::{instance, run as registry, verdict},
};
use crate::{Leases, Registry};

/// A registry or leases under test. Each test gets one that is new and empty.
#[async_trait]
pub trait Bench: Send + Sync {
    /// What is tested: `dyn Registry` or `dyn Leases`.
    type Store: ?Sized + Send + Sync;

    /// A handle on it, as another process would have it.
    async fn open(&self) -> Arc<Self::Store>;

    /// Lets at least this much time pass on it, and little more: moves its clock, or waits.
    async fn pass(&self, time: Duration);

    /// How long an entry or a lease lives. A bench that waits takes a second or two.
    fn lifetime(&self) -> Duration;
}

/// A bench of a registry.
pub trait RegistryBench: Bench<Store = dyn Registry> {}
impl<B: Bench<Store = dyn Registry>> RegistryBench for B {}

/// A bench of leases.
pub trait LeasesBench: Bench<Store = dyn Leases> {}
impl<B: Bench<Store = dyn Leases>> LeasesBench for B {}

/// Runs the tests of these names, each on a bench of its own.
macro_rules! tests {
    ($new:ident: $($name:ident),* $(,)?) => {$(
        eprintln!("contract: {}", stringify!($name));
        $name(&$new().await).await;
    )*};
}
use tests;
