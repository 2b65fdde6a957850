//! The rules of accounts, sessions, keys and guessing, without I/O.

mod account;
pub(crate) mod confirmation;
mod guessing;
mod keys;
mod opaque;
mod password;
pub(crate) mod reset;
mod session;

pub(crate) use account::{Account, with_customer};
pub(crate) use guessing::{AddressLimit, Failures, Patience};
pub(crate) use keys::{KeyRing, SigningKey};
pub(crate) use opaque::{RefreshToken, fingerprint};
pub(crate) use password::{check_length, check_password, forms, prepare, readable_password};
pub(crate) use session::{Presented, SessionRules, Verdict};
