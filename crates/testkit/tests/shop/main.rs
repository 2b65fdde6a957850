//! The shop as a whole: every role in one process, called through its door.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod architecture;
mod bad_input;
mod connections;
mod document;
mod double_checkout;
mod import;
mod inboxes;
mod metrics;
mod nats;
mod oversell;
mod purchase;
mod redis;
mod reviews;
