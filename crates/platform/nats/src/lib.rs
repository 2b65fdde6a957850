#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bus;
mod connect;
mod follower;
mod names;
mod registry;
mod stream;
mod subscriber;

pub use crate::{
    bus::{NatsBus, OpenError, Settings},
    connect::{ConnectError, ConnectOptions, Login, Nats, StreamsError},
    registry::{NatsLeases, NatsRegistry},
};
