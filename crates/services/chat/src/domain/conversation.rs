//! A conversation: what it is, and what may happen to it.
//!
//! ```text
//!            says ┌──────┐ hand over, asks     accept      close, end
//!   start ──────> │ bot  │ ──────────────> queued ──────> with_agent ──────> resolved ──idle──> closed
//!                 └──────┘                   ^                │                 │  ^
//!                     ^                      └── lost, given back               │  └── reopen (an agent) takes it back
//!                     └──────────────────────────── the customer says more ─────┘
//! ```
//!
//! Each method decides and changes nothing: it returns the conversation afterwards and its new messages, or a refusal. The
//! caller stores that as a whole, at the version that was read, and only then shows it.

use std::time::Duration;

use bookworm_kernel::{ConversationId, CustomerId, Email, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    agent::{ChatAgent, Skill},
    message::{self, AuthorKind, BOT_NAME, Message, SHOP_NAME, Side, Words},
    refusal::Refusal,
    reply::{HandOver, Memory, Reason, Reply},
    routing,
    secret::SecretHash,
};

/// The most messages that wait for the bot; older ones are skipped.
const MAX_DUE: usize = 20;
/// The most transcripts an hour.
const MAX_TRANSCRIPTS: usize = 3;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Where a conversation stands. Part of stored documents, and the value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStatus {
    /// The bot answers.
    Bot,
    /// Waits for a person.
    Queued,
    /// A person answers.
    WithAgent,
    /// Answered; the customer's next message opens it again.
    Resolved,
    /// Over; only staff open it again.
    Closed,
}

impl ConversationStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Bot, Self::Queued, Self::WithAgent, Self::Resolved, Self::Closed];

    /// Its name in stored rows and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Queued => "queued",
            Self::WithAgent => "with_agent",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }
}

/// How far one side has read. Part of stored documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadState {
    /// The number of the last message delivered to it.
    pub delivered: u64,
    /// The number of the last message that it has read.
    pub read: u64,
}

/// The customer or guest. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The account; none for a guest.
    #[serde(default)]
    pub id: Option<CustomerId>,
    /// How to address them.
    pub name: String,
    /// The address for answers while they are away.
    #[serde(default)]
    pub email: Option<Email>,
    /// Whether the address is the account's, and confirmed.
    #[serde(default)]
    pub confirmed: bool,
    /// The hash of a guest's secret.
    #[serde(default)]
    pub secret: Option<SecretHash>,
    /// A guest's network address; see [`crate::domain::secret::address_key`].
    #[serde(default)]
    pub address: Option<String>,
}

/// A place in the queue. Part of stored documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// When the wait began.
    pub since: Timestamp,
    /// Whether an agent had it before: then it waits at the head.
    pub returned: bool,
    /// The agent who gave it back: it is not routed to them again.
    #[serde(default)]
    pub but: Option<CustomerId>,
}

/// The customer's rating. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// 1 to 5.
    pub score: u8,
    /// Up to 2,000 characters.
    #[serde(default)]
    pub comment: Option<String>,
    /// When it was given.
    pub at: Timestamp,
}

/// A conversation as it is stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The conversation.
    pub id: ConversationId,
    /// Where it stands.
    pub status: ConversationStatus,
    /// The customer or guest.
    pub customer: Customer,
    /// The language that they write (ISO 639-1).
    pub language: String,
    /// The agent who answers, if any.
    #[serde(default)]
    pub agent: Option<ChatAgent>,
    /// The skill that an agent should have.
    pub skill: Skill,
    /// The last intent that was recognised.
    #[serde(default)]
    pub intent: Option<String>,
    /// The reason of the last hand-over.
    #[serde(default)]
    pub hand_over_reason: Option<Reason>,
    /// Its place in the queue, while it waits.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// Since when the customer waits for a person's first answer.
    #[serde(default)]
    pub person_wanted_since: Option<Timestamp>,
    /// Whether answers are mailed when the customer is away.
    #[serde(default)]
    pub mail_promised: bool,
    /// How far the customer has read.
    #[serde(default)]
    pub customer_read: ReadState,
    /// How far the shop's side has read.
    #[serde(default)]
    pub agent_read: ReadState,
    /// The last rating.
    #[serde(default)]
    pub rating: Option<Rating>,
    /// The bot's memory.
    #[serde(default)]
    pub memory: Memory,
    /// The numbers of the messages that the bot has yet to answer, in order.
    #[serde(default)]
    pub bot_due: Vec<u64>,
    /// Since when the first of them waits.
    #[serde(default)]
    pub bot_due_since: Option<Timestamp>,
    /// When transcripts were sent within the last hour.
    #[serde(default)]
    pub transcripts: Vec<Timestamp>,
    /// The beginning of the last message.
    #[serde(default)]
    pub preview: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it was last changed; receipts do not count.
    pub updated_at: Timestamp,
    /// Increases with each change.
    pub version: u64,
    /// The number of the last message; 0 when there is none.
    pub last_seq: u64,
}

/// Effects of a decision beside the new state: events, mails and metrics follow from them.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// An agent joined.
    Joined(ChatAgent),
    /// The agent left.
    Left(ChatAgent),
    /// It was queued for a person.
    HandedOver(Reason),
    /// The bot answered.
    BotAnswered,
    /// The first answer of a person, this long after one was asked for.
    FirstAnswer(Duration),
    /// An agent's answer to be mailed to the customer.
    AnsweredByMail(String),
}

/// What a conversation becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The conversation afterwards.
    pub next: Conversation,
    /// New messages.
    pub messages: Vec<Message>,
    /// Further effects.
    pub happened: Vec<Happened>,
}

/// A `Result` of a decision.
pub type Decided = Result<Decision, Refusal>;

impl Decision {
    fn say(&mut self, author: AuthorKind, name: &str, words: &Words, now: Timestamp) -> &mut Message {
        let message = message::plain(self.next.id, 0, author, name, words, now);
        self.push(message)
    }

    fn announce(&mut self, text: &str, now: Timestamp) {
        self.say(AuthorKind::System, SHOP_NAME, &Words::of_the_shop(text), now);
    }

    fn push(&mut self, mut message: Message) -> &mut Message {
        self.next.last_seq += 1;
        message.seq = self.next.last_seq;
        if message.author != AuthorKind::System {
            self.next.preview = Some(message::preview(&message.text));
        }
        self.messages.push(message);
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    fn join(&mut self, agent: &ChatAgent) {
        self.next.status = ConversationStatus::WithAgent;
        self.next.agent = Some(agent.clone());
        self.next.waiting = None;
        self.happened.push(Happened::Joined(agent.clone()));
    }

    fn leave(&mut self) {
        if let Some(agent) = self.next.agent.take() {
            self.happened.push(Happened::Left(agent));
        }
    }

    fn queue(&mut self, hand_over: HandOver, someone_is_there: bool, now: Timestamp) {
        self.next.status = ConversationStatus::Queued;
        self.next.skill = hand_over.skill;
        self.next.waiting = Some(Waiting { since: now, returned: false, but: None });
        self.next.person_wanted_since = Some(now);
        self.next.hand_over_reason = Some(hand_over.reason);
        self.happened.push(Happened::HandedOver(hand_over.reason));
        if !someone_is_there {
            self.promise_mail(now);
        }
    }

    fn requeue(&mut self, now: Timestamp, but: Option<CustomerId>) {
        self.leave();
        self.next.status = ConversationStatus::Queued;
        self.next.waiting = Some(Waiting { since: now, returned: true, but });
        self.next.person_wanted_since.get_or_insert(now);
    }

    fn promise_mail(&mut self, now: Timestamp) {
        if self.next.customer.email.is_some() {
            self.next.mail_promised = true;
            self.announce("Nobody’s available right now. We’ve saved your message and will reply by email.", now);
        } else {
            self.announce(
                "Nobody’s available right now. Leave your email address and we’ll reply there, or come back later: your \
                 message is saved here.",
                now,
            );
        }
    }

    fn end(&mut self, status: ConversationStatus) {
        self.leave();
        self.next.status = status;
        self.next.waiting = None;
        self.next.person_wanted_since = None;
        self.next.mail_promised = false;
        self.next.clear_due();
    }
}

impl Conversation {
    /// A new conversation without messages.
    #[must_use]
    pub fn start(id: ConversationId, customer: Customer, language: String, now: Timestamp) -> Decision {
        let next = Self {
            id,
            status: ConversationStatus::Bot,
            customer,
            language,
            agent: None,
            skill: Skill::General,
            intent: None,
            hand_over_reason: None,
            waiting: None,
            person_wanted_since: None,
            mail_promised: false,
            customer_read: ReadState::default(),
            agent_read: ReadState::default(),
            rating: None,
            memory: Memory::default(),
            bot_due: Vec::new(),
            bot_due_since: None,
            transcripts: Vec::new(),
            preview: None,
            started_at: now,
            updated_at: now,
            version: 1,
            last_seq: 0,
        };
        Decision { next, messages: Vec::new(), happened: Vec::new() }
    }

    /// A new conversation that began with the contact form: it waits for a person, whose answer goes by mail, since
    /// whoever wrote does not wait in the chat.
    #[must_use]
    pub fn from_contact(
        id: ConversationId,
        customer: Customer,
        language: String,
        words: &Words,
        now: Timestamp,
    ) -> Decision {
        let mut decision = Self::start(id, customer, language, now);
        let name = decision.next.customer.name.clone();
        decision.say(AuthorKind::Customer, &name, words, now);
        decision.next.mail_promised = true;
        decision.announce("You wrote to us with the contact form. We’ll reply by email.", now);
        decision.queue(HandOver { reason: Reason::Wanted, skill: Skill::General }, true, now);
        decision
    }

    /// Nothing changes.
    #[must_use]
    pub fn as_it_is(&self) -> Decision {
        Decision { next: self.clone(), messages: Vec::new(), happened: Vec::new() }
    }

    fn change(&self, now: Timestamp) -> Decision {
        let mut decision = self.as_it_is();
        decision.next.version += 1;
        decision.next.updated_at = self.updated_at.max(now);
        decision
    }

    fn clear_due(&mut self) {
        self.bot_due.clear();
        self.bot_due_since = None;
    }

    fn open(&self) -> Result<(), Refusal> {
        if self.status == ConversationStatus::Closed { Err(Refusal::Closed) } else { Ok(()) }
    }

    fn is_with(&self, agent: CustomerId) -> bool {
        self.status == ConversationStatus::WithAgent && self.agent.as_ref().is_some_and(|with| with.id == agent)
    }

    /// The customer writes. The message waits for the bot while no person answers; a resolved conversation goes back to
    /// the bot.
    ///
    /// # Errors
    /// When it is closed, or too long.
    pub fn customer_says(&self, words: &Words, client_message_id: Uuid, max_messages: u64, now: Timestamp) -> Decided {
        self.open()?;
        if self.last_seq >= max_messages {
            return Err(Refusal::TooLong);
        }
        let mut decision = self.change(now);
        if self.status == ConversationStatus::Resolved {
            decision.next.status = ConversationStatus::Bot;
            decision.next.memory = Memory::default();
        }
        let message = decision.say(AuthorKind::Customer, &self.customer.name, words, now);
        message.client_message_id = Some(client_message_id);
        let seq = message.seq;
        if decision.next.status == ConversationStatus::Bot {
            let due = &mut decision.next.bot_due;
            due.push(seq);
            due.drain(..due.len().saturating_sub(MAX_DUE));
            decision.next.bot_due_since.get_or_insert(now);
        }
        Ok(decision)
    }

    /// The bot answers the first message that waits for it. When a person was asked for meanwhile, only the text counts:
    /// the bot may have done what it says.
    ///
    /// # Errors
    /// When that message needs no answer any more.
    pub fn bot_answers(
        &self,
        seq: u64,
        reply: Reply,
        answer_id: Option<Uuid>,
        someone_is_there: bool,
        now: Timestamp,
    ) -> Decided {
        if self.bot_due.first() != Some(&seq) {
            return Err(Refusal::NotDue);
        }
        let mut decision = self.change(now);
        let next = &mut decision.next;
        next.bot_due.remove(0);
        next.bot_due_since = (!next.bot_due.is_empty()).then_some(now);
        let message = decision.say(AuthorKind::Bot, BOT_NAME, &Words::of_the_shop(&reply.text), now);
        message.links = reply.links;
        message.suggestions = reply.suggestions.into_iter().take(4).collect();
        message.answer_id = answer_id;
        decision.happened.push(Happened::BotAnswered);
        if self.status == ConversationStatus::Bot {
            if let Some(intent) = reply.intent {
                decision.next.intent = Some(intent.name().to_owned());
            }
            decision.next.memory = reply.memory;
            if let Some(hand_over) = reply.hand_over {
                decision.next.clear_due();
                decision.queue(hand_over, someone_is_there, now);
            }
        } else {
            decision.next.clear_due();
        }
        Ok(decision)
    }

    /// No message waits for the bot any more: a person answers, or it is over.
    #[must_use]
    pub fn needs_no_bot(&self, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.next.updated_at = self.updated_at;
        decision.next.clear_due();
        decision
    }

    /// The customer asks for a person. An answer of the bot that is under way is still given.
    ///
    /// # Errors
    /// When it is closed.
    pub fn ask_for_person(&self, someone_is_there: bool, now: Timestamp) -> Decided {
        self.open()?;
        if matches!(self.status, ConversationStatus::Queued | ConversationStatus::WithAgent) {
            return Ok(self.as_it_is());
        }
        let mut decision = self.change(now);
        if someone_is_there {
            decision
                .announce("You asked for a person. Someone from our team will be with you as soon as possible.", now);
        }
        let hand_over = HandOver { reason: Reason::Wanted, skill: self.skill };
        decision.queue(hand_over, someone_is_there, now);
        Ok(decision)
    }

    /// A guest leaves an email address. When nobody is there to answer, the answer goes there.
    ///
    /// # Errors
    /// When it is closed.
    pub fn leave_address(&self, email: Email, someone_is_there: bool, now: Timestamp) -> Decided {
        self.open()?;
        if self.customer.email.as_ref() == Some(&email) {
            return Ok(self.as_it_is());
        }
        let mut decision = self.change(now);
        decision.next.customer.email = Some(email);
        if self.status == ConversationStatus::Queued && !someone_is_there {
            decision.next.mail_promised = true;
            decision.announce("Thank you. We’ll reply by email.", now);
        } else {
            decision.announce("Thank you. We’ve saved your email address.", now);
        }
        Ok(decision)
    }

    /// Nobody is there to answer any more while it waits: tells the customer, once.
    #[must_use]
    pub fn nobody_is_there(&self, now: Timestamp) -> Decision {
        if self.status != ConversationStatus::Queued || self.mail_promised || self.customer.email.is_none() {
            return self.as_it_is();
        }
        let mut decision = self.change(now);
        decision.promise_mail(now);
        decision
    }

    /// An agent takes it from the queue, or it is given to them.
    ///
    /// # Errors
    /// When it does not wait.
    pub fn accept(&self, agent: &ChatAgent, now: Timestamp) -> Decided {
        if self.is_with(agent.id) {
            return Ok(self.as_it_is());
        }
        if self.status != ConversationStatus::Queued {
            return Err(Refusal::NotQueued);
        }
        let mut decision = self.change(now);
        decision.announce(&format!("{} has joined the chat.", agent.name), now);
        decision.join(agent);
        Ok(decision)
    }

    /// The agent writes; the message is mailed as well when that was promised to a customer who is away.
    ///
    /// # Errors
    /// When it is not with this agent, or too long.
    pub fn agent_says(
        &self,
        agent: CustomerId,
        words: &Words,
        client_message_id: Uuid,
        customer_is_there: bool,
        max_messages: u64,
        now: Timestamp,
    ) -> Decided {
        self.open()?;
        let with = self.agent.as_ref().filter(|_| self.is_with(agent)).ok_or(Refusal::NotWithYou)?;
        if self.last_seq >= max_messages {
            return Err(Refusal::TooLong);
        }
        let mut decision = self.change(now);
        decision.push(message::of_agent(self.id, 0, with, words, client_message_id, now));
        if let Some(since) = decision.next.person_wanted_since.take() {
            decision.happened.push(Happened::FirstAnswer(now.since(since)));
        }
        if self.mail_promised && !customer_is_there {
            decision.happened.push(Happened::AnsweredByMail(words.as_str().to_owned()));
        }
        Ok(decision)
    }

    /// The agent hands it to a colleague.
    ///
    /// # Errors
    /// When it is not with this agent.
    pub fn transfer(&self, agent: CustomerId, to: &ChatAgent, now: Timestamp) -> Decided {
        if !self.is_with(agent) {
            return Err(Refusal::NotWithYou);
        }
        if to.id == agent {
            return Ok(self.as_it_is());
        }
        let mut decision = self.change(now);
        decision.leave();
        decision.announce(&format!("{} has joined the chat.", to.name), now);
        decision.join(to);
        Ok(decision)
    }

    /// The agent gives it back to the queue, for somebody who knows more.
    ///
    /// # Errors
    /// When it is not with this agent.
    pub fn give_back(&self, agent: CustomerId, skill: Option<Skill>, now: Timestamp) -> Decided {
        if !self.is_with(agent) {
            return Err(Refusal::NotWithYou);
        }
        let mut decision = self.change(now);
        decision.announce("We’re passing you to a colleague, who will be with you as soon as possible.", now);
        decision.next.skill = skill.unwrap_or(self.skill);
        decision.requeue(now, Some(agent));
        Ok(decision)
    }

    /// The agent is gone: it waits again, at the head.
    #[must_use]
    pub fn agent_is_lost(&self, agent: CustomerId, now: Timestamp) -> Decision {
        if !self.is_with(agent) {
            return self.as_it_is();
        }
        let mut decision = self.change(now);
        decision
            .announce("We lost the connection on our side. Someone else will be with you as soon as possible.", now);
        decision.requeue(now, None);
        decision
    }

    /// An agent ends it.
    ///
    /// # Errors
    /// When a colleague has it, or it is closed.
    pub fn close(&self, agent: CustomerId, resolution: Resolution, now: Timestamp) -> Decided {
        self.open()?;
        if self.status == ConversationStatus::WithAgent && !self.is_with(agent) {
            return Err(Refusal::NotWithYou);
        }
        if self.status == ConversationStatus::Resolved && resolution == Resolution::Resolved {
            return Ok(self.as_it_is());
        }
        let mut decision = self.change(now);
        let (status, words) = match resolution {
            Resolution::Resolved => (ConversationStatus::Resolved, "Marked as resolved. Reply to reopen."),
            Resolution::Closed => (ConversationStatus::Closed, "This conversation was closed."),
        };
        decision.announce(words, now);
        decision.end(status);
        Ok(decision)
    }

    /// An agent takes an ended one back.
    ///
    /// # Errors
    /// When it has not ended.
    pub fn reopen(&self, agent: &ChatAgent, now: Timestamp) -> Decided {
        if self.is_with(agent.id) {
            return Ok(self.as_it_is());
        }
        if !matches!(self.status, ConversationStatus::Resolved | ConversationStatus::Closed) {
            return Err(Refusal::StillOpen);
        }
        let mut decision = self.change(now);
        decision.announce(&format!("{} reopened the conversation.", agent.name), now);
        decision.join(agent);
        Ok(decision)
    }

    /// The customer has what they wanted.
    ///
    /// # Errors
    /// When it is closed.
    pub fn customer_ends(&self, now: Timestamp) -> Decided {
        self.open()?;
        if self.status == ConversationStatus::Resolved {
            return Ok(self.as_it_is());
        }
        let mut decision = self.change(now);
        decision.end(ConversationStatus::Resolved);
        Ok(decision)
    }

    /// The customer rates it; the last rating counts.
    ///
    /// # Errors
    /// While neither a person answers nor it has ended.
    pub fn rate(&self, score: u8, comment: Option<String>, now: Timestamp) -> Decided {
        if matches!(self.status, ConversationStatus::Bot | ConversationStatus::Queued) {
            return Err(Refusal::NothingToRate);
        }
        let mut decision = self.change(now);
        decision.next.rating = Some(Rating { score, comment, at: now });
        Ok(decision)
    }

    /// One side has received and read up to these messages. Never goes back, and not beyond the last message.
    #[must_use]
    pub fn mark(&self, side: Side, delivered: u64, read: u64) -> Decision {
        let mut next = self.clone();
        let state = match side {
            Side::Customer => &mut next.customer_read,
            Side::Agent => &mut next.agent_read,
        };
        state.read = state.read.max(read.min(self.last_seq));
        state.delivered = state.delivered.max(delivered.min(self.last_seq)).max(state.read);
        if next != *self {
            next.version += 1;
        }
        Decision { next, messages: Vec::new(), happened: Vec::new() }
    }

    /// Closes it because nobody wrote for long.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.announce("This conversation was closed because nobody wrote for a while.", now);
        decision.end(ConversationStatus::Closed);
        decision
    }

    /// A guest's conversation becomes that of an account, whose owner proved to know its secret.
    #[must_use]
    pub fn taken_over_by(&self, customer: Customer, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.next.customer = customer;
        decision
    }

    /// Sends a transcript: to this address, or to the customer's.
    ///
    /// # Errors
    /// When there is no address, nothing was said, or it was sent too often.
    pub fn send_transcript(&self, to: Option<Email>, now: Timestamp) -> Result<(Decision, Email), Refusal> {
        let to = to.or_else(|| self.customer.email.clone()).ok_or(Refusal::NoAddress)?;
        if self.last_seq == 0 {
            return Err(Refusal::NothingSaid);
        }
        let mut decision = self.change(now);
        decision.next.updated_at = self.updated_at;
        let sent = &mut decision.next.transcripts;
        sent.retain(|at| now.since(*at) < HOUR);
        if sent.len() >= MAX_TRANSCRIPTS {
            return Err(Refusal::TooManyTranscripts);
        }
        sent.push(now);
        Ok((decision, to))
    }

    /// Whether the next answer of a person is mailed.
    #[must_use]
    pub fn will_be_answered_by_mail(&self) -> bool {
        self.mail_promised && self.status == ConversationStatus::Queued
    }

    /// Its rank in the queue: lower comes first.
    #[must_use]
    pub fn rank(&self) -> Option<i64> {
        self.waiting.map(|waiting| routing::rank(waiting.since, waiting.returned))
    }
}

/// How an agent ends a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The customer's next message opens it again.
    Resolved,
    /// Over.
    Closed,
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
