//! Whole shops for tests.
//!
//! [`TestShop::start`] opens every role in this process on a database of its own and calls the router without a socket.
//! [`TestShop::start_apart`] and [`TestShop::start_announced`] open each role as a process of its own. [`HubClient`] talks to a hub,
//! [`Collector`] takes what is exported of traces. [`on_every_database`] runs a test on SQLite and, when `BOOKWORM_TEST_POSTGRES` names a server, on PostgreSQL.

mod collector;
mod http1;
mod hub_client;
mod shop;

pub use bookworm_testing::{Browser, Page, Request, Response, until};
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

pub use crate::{
    collector::{Collector, Exported},
    http1::{ask, exchange},
    hub_client::{HubClient, HubClientError, HubEvent},
    shop::{Database, Process, Purchase, TestShop, on_every_database},
};
