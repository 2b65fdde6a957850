#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bus;
mod consumer;
#[cfg(feature = "contract")]
pub mod contract;
mod db_bus;
mod dead_letters;
mod envelope;
mod gate;
mod inbox;
mod outages;
mod outbox;

pub use crate::{
    bus::{Bus, BusError, Delivery, Follower, PublishError, SharedBus, Subscriber, Tag},
    consumer::{Consumer, Policy, Reaction, ReactionError, Received},
    db_bus::{DbBus, hand_over, undelivered},
    dead_letters::{DbDeadLetters, DeadLetter, DeadLetters, revive},
    envelope::{Envelope, Message},
    inbox::{Inbox, Receipt, housekeeping},
    outbox::{Carried, Outbox, OutboxSource, relay, waiting},
};

use bookworm_db::Migration;

/// The tables that a service needs to publish and to receive: put these first in its list of migrations.
pub const MIGRATIONS: &[Migration] = &[outbox::MIGRATION, inbox::MIGRATION];
