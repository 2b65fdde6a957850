//! Messages: which texts are valid, and how each side sees them.

use bookworm_kernel::{ConversationId, CustomerId, Timestamp, has_visible};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::agent::ChatAgent;

/// The longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;

/// The bot's name.
pub const BOT_NAME: &str = "Bot";
/// The name of a guest who gave none.
pub const GUEST_NAME: &str = "Guest";
/// The name of the shop as an author.
pub const SHOP_NAME: &str = "Shop";

/// Who wrote a message. Part of stored documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    /// The customer, or a guest.
    Customer,
    /// The bot.
    Bot,
    /// A person of the shop.
    Agent,
    /// The shop itself: somebody joined, the conversation was closed.
    System,
}

/// A link to a page of this shop. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The page's title.
    pub title: String,
    /// A path of this shop, such as `/books/...`; never another host.
    pub href: String,
}

/// A message, as it is stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// 1, 2, 3, ... without gaps within the conversation.
    pub seq: u64,
    /// Who wrote it.
    pub author: AuthorKind,
    /// The agent's account, when an agent wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_id: Option<CustomerId>,
    /// The author's name as the customer sees it.
    pub name: String,
    /// Plain text, 1 to 4,000 characters.
    pub text: String,
    /// Pages of this shop that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<Link>,
    /// Short answers to offer to the customer, such as `Yes, cancel it`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub suggestions: Vec<String>,
    /// The sender's id for it: the same id again is the same message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_message_id: Option<Uuid>,
    /// The streamed answer that became this message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer_id: Option<Uuid>,
    /// When it was stored.
    pub at: Timestamp,
}

/// An agent's note for colleagues, as it is stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Its author.
    pub agent: ChatAgent,
    /// Plain text, 1 to 4,000 characters.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
}

/// The two sides of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The customer or guest, on all their devices.
    Customer,
    /// The shop: agents who look at it.
    Agent,
}

impl Side {
    /// Its name in events, groups and stored rows.
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

/// The text of a message, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWords {
    /// Nothing visible.
    #[error("must not be empty")]
    Empty,
    /// More than [`MAX_MESSAGE_CHARS`].
    #[error("must be at most {MAX_MESSAGE_CHARS} characters")]
    TooLong,
    /// A character that cannot be shown.
    #[error("must not contain control characters")]
    Control,
}

impl Words {
    /// Trims and checks: 1 to 4,000 characters, no control characters but line breaks and tabs. `\r\n` becomes `\n`.
    ///
    /// # Errors
    /// When it is no message.
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

    /// A text of the shop's own, cut and cleaned to a valid message.
    #[must_use]
    pub fn of_the_shop(text: &str) -> Self {
        let clean: String =
            text.replace("\r\n", "\n").chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let clean: String = clean.trim().chars().take(MAX_MESSAGE_CHARS).collect();
        Self(if !has_visible(&clean) { "…".to_owned() } else { clean })
    }

    /// The text.
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
) -> Message {
    Message {
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
) -> Message {
    Message {
        agent_id: Some(agent.id),
        client_message_id: Some(client_message_id),
        ..plain(conversation, seq, AuthorKind::Agent, &agent.name, words, at)
    }
}

/// A message as one side sees it: the sender's own id is shown to the sender's side only.
#[must_use]
pub fn seen_by(side: Side, mut message: Message) -> Message {
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
