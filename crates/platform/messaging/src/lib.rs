#![doc = include_str!("../README.md")]

mod bus;
mod consumer;
mod db_bus;
mod envelope;
mod inbox;
mod outbox;

pub use crate::{
    bus::{Bus, BusError, DeadLetter, Delivery, SharedBus},
    consumer::{Consumer, Policy, Reaction, ReactionError, Received, housekeeping},
    db_bus::{DbBus, undelivered},
    envelope::{Envelope, Message},
    inbox::Receipt,
    outbox::{Outbox, relay, waiting},
};

use bookworm_db::Migration;

/// The tables that a service needs to publish and to receive: put these first in its list of migrations.
pub const MIGRATIONS: &[Migration] = &[outbox::MIGRATION, inbox::MIGRATION];
