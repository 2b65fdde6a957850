//! The rules of a basket, without I/O.

mod basket;
mod token;

pub(crate) use basket::{Basket, BasketError, Claim, Line, Offer};
pub(crate) use token::{GuestToken, TokenHash};
