#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{sync::Arc, time::Duration};

use bookworm_kernel::SystemClock;
use bookworm_messaging::{DbDeadLetters, SharedBus};
use bookworm_nats::{ConnectOptions, Nats, NatsBus, Settings};
use bookworm_testing::TestDatabases;

/// Long enough for a busy machine, short enough to wait for its end.
pub const LEASE: Duration = Duration::from_secs(4);

pub fn options(url: &str) -> ConnectOptions {
    ConnectOptions {
        servers: vec![url.to_owned()],
        name: "test".to_owned(),
        connect_timeout: Duration::from_secs(20),
        ..ConnectOptions::default()
    }
}

pub fn settings(stream: &str) -> Settings {
    Settings {
        stream: stream.to_owned(),
        replicas: 1,
        max_bytes: 16 << 20,
        max_age: Duration::from_secs(14 * 86_400),
        lease: LEASE,
    }
}

pub async fn nats_bus(url: &str, settings: Settings, home: &TestDatabases) -> NatsBus {
    let nats = Nats::connect(options(url)).await.unwrap();
    let db = home.databases.open("bus").await.unwrap();
    let letters = DbDeadLetters::open(db, Arc::new(SystemClock)).await.unwrap();
    NatsBus::open(nats, settings, Arc::new(letters)).await.unwrap()
}

pub async fn bus(url: &str, stream: &str, home: &TestDatabases) -> SharedBus {
    Arc::new(nats_bus(url, settings(stream), home).await)
}
