use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Instance, Key, RegistryError, Verdict};

/// Where instances announce themselves, and others find them.
///
/// An entry lives for [`LIFETIME`](crate::LIFETIME) after it was written. Implementations bring words across and nothing
/// more: [`Announcer`](crate::Announcer) renews, [`Directory`](crate::Directory) keeps the last list while the registry
/// does not answer.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Writes this instance's entry in place of the one before: the first time, each
    /// [`RENEW_EACH`](crate::RENEW_EACH), and on every change.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn announce(&self, instance: &Instance) -> Result<(), RegistryError>;

    /// Deletes an instance's entry, if there is one.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn withdraw(&self, key: &Key) -> Result<(), RegistryError>;

    /// Writes a verdict in place of the one before.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn judge(&self, verdict: &Verdict) -> Result<(), RegistryError>;

    /// Deletes the verdict on an instance, if there is one.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn acquit(&self, key: &Key) -> Result<(), RegistryError>;

    /// Everything that has not expired, in no order. What this release cannot read is left out.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn list(&self) -> Result<Listing, RegistryError>;

    /// Every change from now on: a list that is asked for after this has returned misses nothing before the first change.
    /// Entries that expire are no change. The stream ends when changes may have been missed; then watch and list anew.
    ///
    /// # Errors
    /// When the registry does not answer.
    async fn watch(&self) -> Result<Changes, RegistryError>;
}

/// Changes of a registry, as they happen.
pub type Changes = BoxStream<'static, Change>;

/// Everything in a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Instances.
    pub instances: Vec<Revised<Instance>>,
    /// Verdicts on them, or on instances that are gone.
    pub verdicts: Vec<Revised<Verdict>>,
}

/// An entry as it was written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised<T> {
    /// Grows with every writing of the key, even when nothing changed.
    pub revision: u64,
    /// The entry.
    pub value: T,
}

/// A change of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An instance announced itself, anew or again.
    Announced(Revised<Instance>),
    /// An instance ended.
    Withdrawn(Key),
    /// A verdict was written, anew or again.
    Judged(Revised<Verdict>),
    /// A verdict was deleted.
    Acquitted(Key),
}
