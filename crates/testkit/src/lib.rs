//! Whole shops for tests.
//!
//! [`TestShop::start`] opens every role in this process on a database of its own and calls the router without a socket.
//! [`HubClient`] talks to a hub. [`on_every_database`] runs a test on SQLite and, when `BOOKWORM_TEST_POSTGRES` names a server, on PostgreSQL.

mod hub_client;
mod shop;

pub use bookworm_testing::{Request, Response, until};

pub use crate::{
    hub_client::{HubClient, HubClientError, HubEvent},
    shop::{Database, Purchase, TestShop, on_every_database},
};
