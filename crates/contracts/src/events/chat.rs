//! Events that the support chat publishes.

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
    /// A customer asked for the transcript.
    "events.chat.TranscriptRequested.v1" TranscriptRequested {
        /// The conversation.
        pub conversation_id: ConversationId,
        /// Where to write to.
        pub email: Email,
        /// How to address the customer.
        pub customer_name: String,
        /// When the conversation was started.
        pub started_at: Timestamp,
        /// The messages, oldest first.
        pub lines: Vec<TranscriptLine>,
        /// Whether the address is a confirmed one of the customer's account.
        #[serde(default)]
        pub proven: bool,
    }
}

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptLine {
    /// Its author, as the customer sees them.
    pub name: String,
    /// The words, plain text.
    pub text: String,
    /// When.
    pub at: Timestamp,
}
