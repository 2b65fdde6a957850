//! The rules of reviews, without I/O.

mod invitation;
mod name;
mod review;
mod screening;
mod stars;
pub(crate) mod summary;
mod tally;

pub(crate) use invitation::{InvitationRules, InviteToken, guest, mailbox};
pub(crate) use name::public_name;
pub(crate) use review::{Reason, Refused, Review, ReviewEvent, Status};
pub(crate) use screening::{fingerprint, screen};
pub(crate) use stars::Stars;
pub(crate) use tally::Tally;
