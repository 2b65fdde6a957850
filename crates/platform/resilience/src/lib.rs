#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod breaker;
mod budget;
mod deadline;
mod guard;
mod outage;
mod rates;
mod start;
mod window;

pub use crate::{
    breaker::{Breaker, BreakerPolicy, Open, Permit, State, not_closed},
    budget::BudgetPolicy,
    deadline::Deadline,
    guard::{Failure, Fault, Guard, Limits, Policy},
    outage::{Note, Outage},
    rates::{LimitsUnavailable, Rate, SharedLimits, Taken},
    start::StartWait,
    window::{Counts, Window},
};
