#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod browser;
mod bus;
mod databases;
mod ferretdb;
mod http;
mod nats;
mod poll;
mod proxy;
mod redis;
mod server;
mod tokens;

use std::sync::Arc;

pub use bookworm_messaging::contract::Running;

pub use crate::{
    browser::{Browser, Page},
    bus::{LEASE, bus, publish},
    databases::{TestDatabases, count, execute, on_every_database, postgres_url},
    ferretdb::{FerretDb, mongodb_database, mongodb_url},
    http::{Client, Request, Response},
    nats::{NatsServer, nats_stream, nats_url},
    poll::{POLL_TIMEOUT, eventually, until},
    proxy::Proxy,
    redis::{RedisServer, redis_prefix, redis_url},
    tokens::{AUDIENCE, ISSUER, TokenMint, account},
};

#[doc(hidden)]
pub use tokio;

/// The instant at which the clocks of tests stand: 2026-03-01T12:00:00Z.
pub const NOW: bookworm_kernel::Timestamp = bookworm_kernel::Timestamp::from_micros(1_772_366_400_000_000);

/// A clock that stands at [`NOW`] until the test advances it.
#[must_use]
pub fn clock() -> Arc<bookworm_kernel::ManualClock> {
    Arc::new(bookworm_kernel::ManualClock::at(NOW))
}
