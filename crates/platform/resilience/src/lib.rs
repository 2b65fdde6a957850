#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod breaker;
mod deadline;
mod guard;

pub use crate::{
    breaker::{Breaker, BreakerPolicy, Open, Permit, State},
    deadline::Deadline,
    guard::{Failure, Fault, Guard, Limits, Policy},
};
