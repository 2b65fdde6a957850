//! What the services say to each other and to the world. Types only: no rules, no I/O.
//!
//! | module | who reads it |
//! |---|---|
//! | [`rest`] | the public API under `/api/v1`: services write it, the web role and clients read it |
//! | [`events`] | facts that a service publishes; each lives once, with its publisher |
//! | [`commands`] | what the checkout saga asks of others |
//! | [`grpc`] | queries between services |

pub mod commands;
pub mod events;
pub mod grpc;
pub mod rest;
