//! Rules of money. Pure: no I/O, no async, no clock but the time handed in.

pub mod ledger;
pub mod payment;
pub mod reconciliation;
pub mod signature;
