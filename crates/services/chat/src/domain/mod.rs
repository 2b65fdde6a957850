//! Rules of conversations: pure, without I/O.
//!
//! The types that say so are stored as JSON documents. They are nobody's interface: what the API and the hub show is
//! made from them in `service/view.rs`. `tests/golden/` holds their stored form.

pub mod agent;
pub mod availability;
pub mod conversation;
pub mod flood;
pub mod intent;
pub mod message;
pub mod refusal;
pub mod reply;
pub mod routing;
pub mod secret;
pub mod transcript;
