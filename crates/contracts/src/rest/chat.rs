//! Support chat: what the hub `/hubs/chat` and the API say of conversations. The hub's methods and events are in
//! `docs/chat-hub.md`.

use bookworm_kernel::{ConversationId, CustomerId, Money, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::ordering::OrderStatus;

/// The longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;

/// `POST /contact`: a message to the shop that needs no chat. It becomes a conversation, and is answered by e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactRequest {
    /// How to address a guest, 1 to 100 characters. That of an account counts instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// Where the answer goes. A guest must give one; that of an account counts instead.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// Plain text.
    #[schema(min_length = 1, max_length = 4_000)]
    pub text: String,
}

/// A message that was taken. It is stored, and nothing that happens to the shop now loses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactReceived {
    /// The conversation that it becomes.
    pub conversation_id: ConversationId,
}

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStatus {
    /// The bot answers.
    Bot,
    /// Waits for a person.
    Queued,
    /// A person answers.
    WithAgent,
    /// The question is answered; the customer's next message opens it again.
    Resolved,
    /// Over; only staff open it again.
    Closed,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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

/// A link that a message offers, to a page of this shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatLink {
    /// What it leads to, in words.
    pub title: String,
    /// A path of this shop, such as `/books/...`; never another host.
    pub href: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatMessage {
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
    /// Plain text, 1 to 4,000 characters. Show it as text, never as markup.
    pub text: String,
    /// Pages of this shop that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<ChatLink>,
    /// Short answers that the customer may want to give, such as `Yes, cancel it`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub suggestions: Vec<String>,
    /// The id that the sender gave it, so that a resend is one message. Shown to the sender's side only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_message_id: Option<Uuid>,
    /// The streamed answer that became this message; see `answer` in the hub's events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer_id: Option<Uuid>,
    /// When it was stored.
    pub at: Timestamp,
}

/// How far one side has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadState {
    /// The last message that reached it.
    pub delivered: u64,
    /// The last message that it has seen.
    pub read: u64,
}

/// An agent, as customers and colleagues see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatAgent {
    /// The account.
    pub id: CustomerId,
    /// How to address them.
    pub name: String,
}

/// A conversation. `GET /conversations/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// The conversation.
    pub id: ConversationId,
    /// Where it stands.
    pub status: ConversationStatus,
    /// The customer's account; none for a guest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub customer_id: Option<CustomerId>,
    /// How to address the customer.
    pub customer_name: String,
    /// The language in which the customer writes (ISO 639-1), as far as known.
    pub language: String,
    /// Who answers, when a person does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<ChatAgent>,
    /// What it is about: the last intent that was recognised.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<String>,
    /// Place in the queue, from 1, while `queued`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue_position: Option<u32>,
    /// Since when it waits, while `queued`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_since: Option<Timestamp>,
    /// Nobody is there to answer now: the answer comes by mail.
    pub answer_by_mail: bool,
    /// Whether the shop knows an address to write to.
    #[serde(default)]
    pub email_known: bool,
    /// The last message's number; 0 when there is none.
    pub last_seq: u64,
    /// How far the customer has got.
    pub customer_read: ReadState,
    /// How far the shop's side has got.
    pub agent_read: ReadState,
    /// How the customer rated it: 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rating: Option<u8>,
    /// The beginning of the last message, for lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub preview: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub version: u64,
}

/// A piece of a conversation's history. `GET /conversations/{id}/messages`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// In the order in which they were stored.
    pub items: Vec<ChatMessage>,
    /// Ask again with `after` set to the last `seq`; null when there are no more now.
    pub next: Option<u64>,
}

/// `POST /chat/classify`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// What somebody wrote; 1 to 4,000 characters.
    pub text: String,
}

/// Who should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatRoute {
    /// The bot can.
    Bot,
    /// A person should.
    Agent,
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassifyResponse {
    /// One of the names in `docs/chat-hub.md`, e.g. `track_order`; `out_of_scope` when it is none.
    pub intent: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Who should answer.
    pub route: ChatRoute,
}

/// One of the shop's policies. `GET /chat/policies`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// Names it in addresses: `/policies/{slug}`.
    pub slug: String,
    /// Its heading.
    pub title: String,
    /// Markdown, with the heading. Show no HTML that it may hold.
    pub text: String,
}

/// A prepared answer. `GET` and `PUT /chat/canned-replies`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CannedReply {
    /// What to type after `/`: 1 to 30 letters, digits or `-`.
    pub shortcut: String,
    /// What it says; `{name}` becomes the customer's name. 1 to 4,000 characters.
    pub text: String,
}

/// All of them, at most 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CannedReplies {
    /// Sorted by shortcut.
    pub items: Vec<CannedReply>,
}

/// What an agent sees beside a conversation. `GET /conversations/{id}/context`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CustomerContext {
    /// Why the bot asked for a person: `complaint`, `payment_trouble`, `wanted`, `not_understood`, `upset` or
    /// `beyond_the_bot`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hand_over_reason: Option<String>,
    /// The customer's latest orders, at most 10.
    pub orders: Vec<ContextOrder>,
    /// What is in the basket.
    pub basket: Vec<ContextLine>,
    /// What could not be asked just now: `orders`, `basket`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unavailable: Vec<String>,
}

/// An order in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContextOrder {
    /// The order.
    pub id: OrderId,
    /// The number that people read out.
    pub number: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// What it costs.
    pub total: Money,
    /// Titles of its books.
    pub titles: Vec<String>,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// A line of a basket in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContextLine {
    /// The book's title.
    pub title: String,
    /// How many copies.
    pub quantity: u32,
}

/// A remark among colleagues, never shown to the customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChatNote {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Who wrote it.
    pub agent: ChatAgent,
    /// Plain text, 1 to 4,000 characters.
    pub text: String,
    /// When.
    pub at: Timestamp,
}
