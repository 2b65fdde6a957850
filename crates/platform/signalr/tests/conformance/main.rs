//! The contract of the crate: what messages look like, and what a server does over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod backplane;
mod client;
mod http;
mod hub;
mod limits;
mod messages;
mod vectors;
