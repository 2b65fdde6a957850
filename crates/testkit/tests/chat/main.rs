//! The support chat over a real SignalR connection: what customers and agents notice.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod agents;
mod authorisation;
mod bot;
mod customers;
mod house;
mod instances;
mod limits;
mod mongo;
mod shop;
mod writer;
