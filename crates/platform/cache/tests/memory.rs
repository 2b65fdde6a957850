//! The cache in memory passes the suite, and stays within its bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_cache::{SharedCache, contract::Bench, memory::MemoryCache};
use bookworm_kernel::{ManualClock, Timestamp};
use bytes::Bytes;

struct Memory {
    clock: Arc<ManualClock>,
    cache: Arc<MemoryCache>,
}

fn open(max_values: usize) -> Memory {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000)));
    Memory { cache: Arc::new(MemoryCache::new(clock.clone(), max_values)), clock }
}

#[async_trait]
impl Bench for Memory {
    async fn open(&self) -> Arc<dyn SharedCache> {
        self.cache.clone()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    fn short(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[tokio::test]
async fn it_passes_the_suite() {
    bookworm_cache::contract::run(async || open(1_000)).await;
}

#[tokio::test]
async fn it_evicts_what_expires_first() {
    let memory = open(2);
    for (key, seconds) in [("brief", 10), ("long", 30), ("middle", 20)] {
        memory.cache.put(key, Bytes::from_static(b"1"), &[], 0, Duration::from_secs(seconds)).await.unwrap();
    }
    assert_eq!(memory.cache.len(), 2);
    assert_eq!(memory.cache.get("brief").await.unwrap().value, None);
    assert!(memory.cache.get("middle").await.unwrap().value.is_some());
}
