//! A conversation as text, for a mail.

use bookworm_contracts::events::chat::TranscriptLine;

use super::message::{AuthorKind, Message};

/// Every message as a line of a transcript.
#[must_use]
pub fn lines(messages: Vec<Message>) -> Vec<TranscriptLine> {
    messages
        .into_iter()
        .filter(|message| message.author != AuthorKind::System)
        .map(|message| TranscriptLine { name: message.name, text: message.text, at: message.at })
        .collect()
}
