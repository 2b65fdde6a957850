//! MongoDB: the [connection](Mongo).
//!
//! Every write is acknowledged once a majority of the servers has it in the journal, and every read sees only such writes:
//! what was answered is never rolled back. Nothing here needs transactions, so a server alone will do.
#![warn(missing_docs)]

mod connection;
mod error;

pub use crate::{
    connection::{ConnectError, Mongo, Options},
    error::MongoError,
};
