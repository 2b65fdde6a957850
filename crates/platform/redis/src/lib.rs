//! Redis for what processes share in memory: the [connection](Redis), the [cache](RedisCache), [limits](RedisLimits), and
//! [messages](PubSub) between them, which carry SignalR's [backplane](RedisBackplane) and a [roster](RedisRoster).
//!
//! Nothing here is the only copy of anything. Without the server each process goes on by itself, and no call waits longer
//! than its timeout.
#![warn(missing_docs)]

mod backplane;
mod cache;
mod connection;
mod pub_sub;
mod rates;
mod roster;

pub use crate::{
    backplane::RedisBackplane,
    cache::RedisCache,
    connection::{Away, ConnectError, Options, Redis, WaitError},
    pub_sub::PubSub,
    rates::RedisLimits,
    roster::{RedisRoster, Timing},
};
