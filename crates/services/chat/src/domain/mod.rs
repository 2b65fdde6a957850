//! Rules of conversations: pure, without I/O.
//!
//! Types marked as part of stored documents are stored as JSON. The API and the hub do not show them: `service/view.rs`
//! makes public types of them. `tests/golden/` has examples of their stored form.

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
