//! Events that notification publishes.

use bookworm_kernel::{ConversationId, CustomerId, Email};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};

message! {
    /// Somebody wrote to the shop with the contact form.
    "events.notification.ContactRequested.v1" ContactRequested {
        /// The conversation that it becomes: drawn when the form was taken, so that a repeat is the same conversation.
        pub conversation_id: ConversationId,
        /// The account of who wrote; none for a guest.
        #[serde(default)]
        pub account: Option<ContactAccount>,
        /// How to address them; empty when they gave no name.
        pub name: String,
        /// Where the answer goes.
        pub email: Email,
        /// Plain text, 1 to 4,000 characters.
        pub text: String,
        /// The language that they write (ISO 639-1).
        pub language: String,
        /// The network address of a guest as a fingerprint, for limits; empty when it is not known.
        #[serde(default)]
        pub sender: String,
    }
}

/// The account of somebody who wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactAccount {
    /// The account.
    pub id: CustomerId,
    /// Whether its address is confirmed.
    pub confirmed: bool,
}
