#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod announce;
#[cfg(feature = "contract")]
pub mod contract;
mod directory;
mod instance;
mod known;
mod lead;
mod lease;
mod memory;
mod registry;
mod roster;

use std::{error::Error, future::Future, time::Duration};

use rand::Rng;
use tokio_util::sync::CancellationToken;

pub use crate::{
    announce::Announcer,
    directory::{Directory, Follower},
    instance::{Instance, InvalidKey, Key, Load, State, Verdict},
    known::{Member, View},
    lead::lead,
    lease::{Grant, Leases},
    memory::{MemoryLeases, MemoryRegistry},
    registry::{Change, Changes, Listing, Registry, Revised},
    roster::{Alone, Roster},
};

/// How long an entry or a lease lives after it was written.
pub const LIFETIME: Duration = Duration::from_secs(15);
/// How often it is written anew.
pub const RENEW_EACH: Duration = Duration::from_secs(5);
/// How long after its last good renewal the holder of a lease steps down.
pub const STEP_DOWN_AFTER: Duration = Duration::from_secs(10);
/// How often a directory lists everything.
pub const LIST_EACH: Duration = Duration::from_secs(30);
/// How long one question to the store may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How soon a store that did not answer is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a registry or a store of leases did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It does not answer. The operation may or may not have happened.
    #[error("the registry does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// Asks, and waits for the answer no longer than [`ANSWER_WITHIN`].
async fn ask<T>(question: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
    match tokio::time::timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer,
        Err(late) => Err(RegistryError::Unavailable(Box::new(late))),
    }
}

/// Waits about this long, or until `stop`. A tenth sooner or later, so that instances do not all ask at once.
async fn pause(about: Duration, stop: &CancellationToken) {
    let time = about.mul_f64(rand::rng().random_range(0.9..=1.1));
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}
