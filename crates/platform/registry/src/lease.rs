use async_trait::async_trait;

use crate::RegistryError;

/// Leases: each name has at most one holder. See the crate's documentation for what a lease is not.
///
/// Names have 1 to 200 letters, digits, `.`, `_` and `-`. A lease lives for [`LIFETIME`](crate::LIFETIME) after it was
/// acquired or renewed. [`lead`](crate::lead) renews it, and steps down in time.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the lease when nobody has it; `None` when somebody has, be it the same holder. `holder` is for people.
    ///
    /// # Errors
    /// When the store does not answer; the lease may be taken, and then lapses.
    async fn acquire(&self, name: &str, holder: &str) -> Result<Option<Grant>, RegistryError>;

    /// Renews a lease that nobody else has written since this grant (compare-and-set on its revision); `None` when it
    /// lapsed or somebody else has it.
    ///
    /// # Errors
    /// When the store does not answer. The lease may be renewed or not: a grant that it did not hand out cannot be
    /// renewed any more, so this one may be lost.
    async fn renew(&self, grant: &Grant) -> Result<Option<Grant>, RegistryError>;

    /// Gives a lease back, if it is still this grant's.
    ///
    /// # Errors
    /// When the store does not answer; the lease lapses by itself.
    async fn release(&self, grant: &Grant) -> Result<(), RegistryError>;
}

/// A lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The lease.
    pub name: String,
    /// Who has it.
    pub holder: String,
    /// The fencing number: the revision of the acquisition. Each later tenure of this name has a larger one.
    pub fence: u64,
    /// The revision of the last writing: what a renewal compares.
    pub revision: u64,
}
