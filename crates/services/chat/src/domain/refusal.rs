//! Why a change of a conversation is refused.

use bookworm_kernel::ErrorCode;

/// Why a change of a conversation is refused. Each is a sentence for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over.
    #[error("This conversation is closed. Please start a new one.")]
    Closed,
    /// It has as many messages as one may have.
    #[error("This conversation has become too long. Please start a new one.")]
    TooLong,
    /// It is not in the queue.
    #[error("This conversation isn’t in the queue.")]
    NotQueued,
    /// It is not with this agent.
    #[error("This conversation isn’t assigned to you.")]
    NotWithYou,
    /// The agent is at their capacity.
    #[error("You’ve reached your maximum number of chats.")]
    AgentFull,
    /// The colleague is away.
    #[error("Your colleague isn’t available.")]
    AgentAway,
    /// Only an ended one can be reopened.
    #[error("This conversation is still open.")]
    StillOpen,
    /// No person has answered yet.
    #[error("You can rate the conversation once a person has joined or it has ended.")]
    NothingToRate,
    /// Too many transcripts within an hour.
    #[error("You can request a transcript three times an hour. Please try again later.")]
    TooManyTranscripts,
    /// No address is known.
    #[error("Enter an email address.")]
    NoAddress,
    /// There is no message to send.
    #[error("Nothing has been said yet.")]
    NothingSaid,
    /// The message needs no answer any more.
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
