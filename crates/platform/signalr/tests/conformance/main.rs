//! The contract of the crate: what messages look like, and what a server does over real sockets.

mod backplane;
mod client;
mod http;
mod hub;
mod limits;
mod messages;
mod vectors;
