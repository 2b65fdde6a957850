//! Why something may not happen to a conversation.

use bookworm_kernel::ErrorCode;

/// Why something may not happen to a conversation. Each is a sentence for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over.
    #[error("The conversation is closed. Please start a new one.")]
    Closed,
    /// It has as many messages as one may have.
    #[error("The conversation is too long. Please start a new one.")]
    TooLong,
    /// It does not wait.
    #[error("The conversation does not wait for anybody.")]
    NotQueued,
    /// Another agent has it.
    #[error("The conversation is not with you.")]
    NotWithYou,
    /// The agent takes no more.
    #[error("There is no room: no more conversations than the capacity at once.")]
    AgentFull,
    /// The colleague is not there.
    #[error("The colleague is not available.")]
    AgentAway,
    /// Only what ended can be opened again.
    #[error("The conversation is open.")]
    StillOpen,
    /// Nobody has answered yet.
    #[error("A conversation can be rated once a person has answered or it has ended.")]
    NothingToRate,
    /// A transcript was sent too often.
    #[error("A transcript is sent at most three times an hour.")]
    TooManyTranscripts,
    /// Nobody knows where to write to.
    #[error("Please say to which address.")]
    NoAddress,
    /// Nothing was said that could be sent.
    #[error("Nothing has been said yet.")]
    NothingSaid,
    /// The answer is to a message that needs none any more.
    #[error("The message needs no answer any more.")]
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
