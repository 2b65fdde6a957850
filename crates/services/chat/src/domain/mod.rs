//! Rules of conversations: pure, without I/O.

pub mod availability;
pub mod conversation;
pub mod flood;
pub mod intent;
pub mod message;
pub mod refusal;
pub mod routing;
pub mod secret;
pub mod transcript;
