//! The contracts between the services, and with clients. Types only: no rules, no I/O.
//!
//! | module | who reads it |
//! |---|---|
//! | [`rest`] | the public API under `/api/v1`: services write it, the web role and clients read it |
//! | [`events`] | facts that a service publishes; each lives once, with its publisher |
//! | [`commands`] | commands of the checkout saga to other services |
//! | [`grpc`] | queries between services |

#![warn(missing_docs)]

pub mod commands;
pub mod events;
pub mod grpc;
pub mod rest;
