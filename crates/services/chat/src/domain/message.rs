//! Messages: what may be said, and how each side sees it.

use bookworm_contracts::rest::chat::{AuthorKind, ChatAgent, ChatMessage, MAX_MESSAGE_CHARS};
use bookworm_kernel::{ConversationId, Timestamp, has_visible};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How the bot signs.
pub const BOT_NAME: &str = "Bot";
/// How somebody is called who gave no name.
pub const GUEST_NAME: &str = "Guest";
/// How the shop itself signs.
pub const SHOP_NAME: &str = "Shop";

/// The two sides of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The customer or guest, on all their devices.
    Customer,
    /// The shop: agents who look at it.
    Agent,
}

impl Side {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
        }
    }

    /// The side that wrote a message.
    #[must_use]
    pub const fn of(author: AuthorKind) -> Self {
        match author {
            AuthorKind::Customer => Self::Customer,
            AuthorKind::Bot | AuthorKind::Agent | AuthorKind::System => Self::Agent,
        }
    }
}

/// The words of a message, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

/// Why words are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWords {
    /// There are none.
    #[error("must not be empty")]
    Empty,
    /// Too many.
    #[error("must be at most {MAX_MESSAGE_CHARS} characters")]
    TooLong,
    /// Something that cannot be shown.
    #[error("must not contain control characters")]
    Control,
}

impl Words {
    /// Trims and checks: 1 to 4,000 characters, no control characters but line breaks and tabs. `\r\n` becomes `\n`.
    ///
    /// # Errors
    /// When they are no message.
    pub fn parse(text: &str) -> Result<Self, InvalidWords> {
        let text = text.replace("\r\n", "\n");
        let text = text.trim();
        if !has_visible(text) {
            Err(InvalidWords::Empty)
        } else if text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
            Err(InvalidWords::TooLong)
        } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            Err(InvalidWords::Control)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Words of the shop's own, cut and cleaned to what a message may be.
    #[must_use]
    pub fn of_the_shop(text: &str) -> Self {
        let clean: String =
            text.replace("\r\n", "\n").chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let clean: String = clean.trim().chars().take(MAX_MESSAGE_CHARS).collect();
        Self(if !has_visible(&clean) { "…".to_owned() } else { clean })
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message without extras.
#[must_use]
pub fn plain(
    conversation: ConversationId,
    seq: u64,
    author: AuthorKind,
    name: &str,
    words: &Words,
    at: Timestamp,
) -> ChatMessage {
    ChatMessage {
        conversation_id: conversation,
        seq,
        author,
        agent_id: None,
        name: name.to_owned(),
        text: words.0.clone(),
        links: Vec::new(),
        suggestions: Vec::new(),
        client_message_id: None,
        answer_id: None,
        at,
    }
}

/// A message of an agent's.
#[must_use]
pub fn of_agent(
    conversation: ConversationId,
    seq: u64,
    agent: &ChatAgent,
    words: &Words,
    client_message_id: Uuid,
    at: Timestamp,
) -> ChatMessage {
    ChatMessage {
        agent_id: Some(agent.id),
        client_message_id: Some(client_message_id),
        ..plain(conversation, seq, AuthorKind::Agent, &agent.name, words, at)
    }
}

/// A message as one side sees it: the sender's own id is shown to the sender's side only.
#[must_use]
pub fn seen_by(side: Side, mut message: ChatMessage) -> ChatMessage {
    if Side::of(message.author) != side {
        message.client_message_id = None;
    }
    message
}

/// The beginning of a message, for lists: one line of at most 120 characters.
#[must_use]
pub fn preview(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(120) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_said() {
        assert_eq!(Words::parse(" a\r\nb\tc ").map(|words| words.0), Ok("a\nb\tc".to_owned()));
        assert_eq!(Words::parse(&"ä".repeat(4000)).map(|words| words.0.chars().count()), Ok(4000));
        assert_eq!(Words::parse(&"ä".repeat(4001)), Err(InvalidWords::TooLong));
        for empty in ["", " ", "\n\t", "\u{200B}\u{3164}"] {
            assert_eq!(Words::parse(empty), Err(InvalidWords::Empty));
        }
        for bad in ["a\0b", "a\u{1b}[31m", "a\rb", "a\u{85}b"] {
            assert_eq!(Words::parse(bad), Err(InvalidWords::Control), "{bad:?}");
        }
        assert!(Words::parse("<script>alert(1)</script>").is_ok(), "markup is text");
    }

    proptest! {
        #[test]
        fn words_of_the_shop_are_always_a_message(text in any::<String>()) {
            let words = Words::of_the_shop(&text);
            prop_assert_eq!(Words::parse(words.as_str()), Ok(words.clone()));
        }

        #[test]
        fn a_preview_is_one_short_line(text in any::<String>()) {
            let preview = preview(&text);
            prop_assert!(preview.chars().count() <= 121 && !preview.contains('\n'));
        }
    }
}
