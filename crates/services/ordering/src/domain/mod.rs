//! The rules of ordering. Pure: no I/O, no async, no clock.
//!
//! | module | what it decides |
//! |---|---|
//! | [`order`] | what may happen to an order, and what it is after its events |
//! | [`checkout_saga`] | what happens next between stock, payment and the order |
//! | [`claim`] | what stands against a second order of one basket |
//! | [`coupon`] | what a code takes off, of which books, and when it is refused |
//! | [`pricing`] | what an order costs, and what was paid for each part of it |
//! | [`shipping`] | which ways to ship are offered, and where to |
//! | [`event`] | what is stored of an order |
//! | [`status`] | where an order and its payment can stand |
//! | [`number`] | the number that people read out |
//! | `search_key` | under which words an order is found |
//! | [`access_key`] | the secret with which a guest reads an order |

pub mod access_key;
pub mod checkout_saga;
pub mod claim;
pub mod coupon;
pub mod event;
pub mod number;
pub mod order;
pub mod pricing;
pub(crate) mod search_key;
pub mod shipping;
pub mod status;
