//! JetStream passes the contract of every bus on a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::time::Duration;

use async_trait::async_trait;
use bookworm_messaging::{SharedBus, contract};
use bookworm_testing::{TestDatabases, nats_stream, nats_url};

use common::bus;

struct Bench {
    url: String,
    stream: String,
    home: TestDatabases,
}

#[async_trait]
impl contract::Bench for Bench {
    async fn open(&self) -> SharedBus {
        bus(&self.url, &self.stream, &self.home).await
    }
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
    fn delay(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_passes_the_contract() {
    let Some(url) = nats_url() else { return };
    contract::run(async || Bench { url: url.clone(), stream: nats_stream(), home: TestDatabases::sqlite() }).await;
}
