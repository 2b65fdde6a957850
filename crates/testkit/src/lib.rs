//! Whole shops for tests.
//!
//! [`TestShop::start`] opens every role in this process on a database of its own and calls the router without a socket.
//! [`on_every_database`] runs a test on SQLite and, when `BOOKWORM_TEST_POSTGRES` names a server, on PostgreSQL.

mod client;
mod shop;

pub use crate::{
    client::{Answer, Request},
    shop::{Database, Purchase, TestShop, on_every_database, until},
};
