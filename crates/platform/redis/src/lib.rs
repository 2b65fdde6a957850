//! Redis for what processes share in memory: the [connection](Redis), and the [cache](RedisCache).
//!
//! Nothing here is the only copy of anything. Without the server each process goes on by itself, and no call waits longer
//! than its timeout.
#![warn(missing_docs)]

mod cache;
mod connection;

pub use crate::{
    cache::RedisCache,
    connection::{Away, ConnectError, Options, Redis},
};
