//! Why something may not happen to a conversation.

use bookworm_kernel::ErrorCode;

/// Why something may not happen to a conversation. Each is a sentence for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over.
    #[error("This conversation is closed. Please start a new one.")]
    Closed,
    /// It has as many messages as one may have.
    #[error("This conversation has become too long. Please start a new one.")]
    TooLong,
    /// It does not wait.
    #[error("This conversation isn’t in the queue.")]
    NotQueued,
    /// Another agent has it.
    #[error("This conversation isn’t assigned to you.")]
    NotWithYou,
    /// The agent takes no more.
    #[error("You’ve reached your maximum number of chats.")]
    AgentFull,
    /// The colleague is not there.
    #[error("Your colleague isn’t available.")]
    AgentAway,
    /// Only what ended can be opened again.
    #[error("This conversation is still open.")]
    StillOpen,
    /// Nobody has answered yet.
    #[error("You can rate the conversation once a person has joined or it has ended.")]
    NothingToRate,
    /// A transcript was sent too often.
    #[error("You can request a transcript three times an hour. Please try again later.")]
    TooManyTranscripts,
    /// Nobody knows where to write to.
    #[error("Enter an email address.")]
    NoAddress,
    /// Nothing was said that could be sent.
    #[error("Nothing has been said yet.")]
    NothingSaid,
    /// The answer is to a message that needs none any more.
    #[error("This message no longer needs an answer.")]
    NotDue,
}

impl Refusal {
    /// The code that programs switch on.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::TooManyTranscripts => ErrorCode::TooManyRequests,
            Self::NoAddress => ErrorCode::ValidationFailed,
            _ => ErrorCode::InvalidConversationState,
        }
    }
}
