//! The rules of accounts, sessions, keys and guessing, without I/O.

mod account;
mod guessing;
mod keys;
mod link;
mod opaque;
mod password;
mod session;

pub(crate) use account::{Account, Role, with_customer};
pub(crate) use guessing::{AddressLimit, Backoff, Failures};
pub(crate) use keys::{KeyRing, SigningKey};
pub(crate) use link::LinkPurpose;
pub(crate) use opaque::{RefreshToken, fingerprint};
pub(crate) use password::{check_length, check_password, forms, prepare, readable_password};
pub(crate) use session::{Presented, SessionRules, Verdict};
