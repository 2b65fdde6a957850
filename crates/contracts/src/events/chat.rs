//! What the support chat tells.

use bookworm_kernel::{ConversationId, Email, Timestamp};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};

message! {
    /// A person answered a customer who is away and had been promised a mail.
    "events.chat.AnsweredByMail.v1" AnsweredByMail {
        /// The conversation.
        pub conversation_id: ConversationId,
        /// Where to write to.
        pub email: Email,
        /// How to address the customer.
        pub customer_name: String,
        /// Who answered.
        pub agent_name: String,
        /// The answer, plain text.
        pub text: String,
        /// Whether the address is a confirmed one of the customer's account.
        #[serde(default)]
        pub proven: bool,
        /// Who asked, as far as it is counted: a guest's address as a fingerprint, or an account.
        #[serde(default)]
        pub sender: String,
    }
}

message! {
    /// A customer wants to have what was said.
    "events.chat.TranscriptRequested.v1" TranscriptRequested {
        /// The conversation.
        pub conversation_id: ConversationId,
        /// Where to write to.
        pub email: Email,
        /// How to address the customer.
        pub customer_name: String,
        /// When the conversation was started.
        pub started_at: Timestamp,
        /// What was said, in order.
        pub lines: Vec<TranscriptLine>,
        /// Whether the address is a confirmed one of the customer's account.
        #[serde(default)]
        pub proven: bool,
    }
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptLine {
    /// Who said it, as the customer sees them.
    pub name: String,
    /// The words, plain text.
    pub text: String,
    /// When.
    pub at: Timestamp,
}
