//! A cache that several processes share, or that outlives one: the second level behind each process's own memory.
//!
//! [`SharedCache`] is what a store must offer. With the feature `contract`, [`contract::run`] is the suite that each
//! implementation passes, and [`memory::MemoryCache`] is one for tests.
#![warn(missing_docs)]

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "contract")]
pub mod memory;

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

/// Why a shared cache did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SharedCacheError {
    /// It does not answer. The operation may or may not have happened.
    #[error("the shared cache does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// The result of a [`SharedCache::get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The number of invalidations so far. Pass it to [`SharedCache::put`] with the value that is fetched after this
    /// lookup.
    pub tick: u64,
    /// The value that was put last, unless it expired or one of its tags was invalidated since.
    pub value: Option<Bytes>,
}

/// A cache outside the process, for values that several processes share.
///
/// It may evict any value at any time, but it never loses an invalidation: once [`invalidate`](Self::invalidate) has
/// returned, no `get` anywhere returns a value that has one of the tags and was put with an earlier tick, whether it was
/// put before or is put after. So a value that was fetched before a change and is put after it is never returned.
///
/// Keys have up to 9,000 bytes, values up to about a megabyte. Tags are short words or UUIDs.
#[async_trait]
pub trait SharedCache: Send + Sync + 'static {
    /// Looks a value up.
    ///
    /// # Errors
    /// When the cache does not answer.
    async fn get(&self, key: &str) -> Result<Lookup, SharedCacheError>;

    /// Stores a value for `ttl`, in place of any other under this key. `tick` comes from the lookup that preceded the
    /// fetch of the value.
    ///
    /// # Errors
    /// When the cache does not answer; the value may be stored or not.
    async fn put(
        &self,
        key: &str,
        value: Bytes,
        tags: &[String],
        tick: u64,
        ttl: Duration,
    ) -> Result<(), SharedCacheError>;

    /// Invalidates every value that has one of these tags.
    ///
    /// # Errors
    /// When the cache does not answer; values with these tags may still be returned.
    async fn invalidate(&self, tags: &[String]) -> Result<(), SharedCacheError>;
}
