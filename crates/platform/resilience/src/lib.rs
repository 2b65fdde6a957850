#![doc = include_str!("../README.md")]

mod breaker;
mod guard;

pub use crate::{
    breaker::{Breaker, BreakerPolicy, Open, Permit, State},
    guard::{Failure, Fault, Guard, Policy},
};
