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
//! Each method decides and changes nothing: it returns what the conversation becomes and what is said, or why not. The
//! caller stores that as a whole, at the version that was read, and only then shows it.

use std::time::Duration;

use bookworm_contracts::rest::chat::{self as rest, AuthorKind, ChatAgent, ChatMessage, ConversationStatus, ReadState};
use bookworm_kernel::{ConversationId, CustomerId, Email, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    bot::{HandOver, Memory, Reason, Reply, Skill},
    domain::{
        message::{self, BOT_NAME, SHOP_NAME, Side, Words},
        refusal::Refusal,
        routing,
        secret::SecretHash,
    },
};

/// How many of a customer's messages the bot owes an answer at most; older ones are passed over.
const MOST_DUE: usize = 20;
/// How many transcripts are sent in an hour.
const TRANSCRIPTS: usize = 3;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The account; none for a guest.
    #[serde(default)]
    pub id: Option<CustomerId>,
    /// How to address them.
    pub name: String,
    /// Where to write to, when they are away.
    #[serde(default)]
    pub email: Option<Email>,
    /// Whether the address is the account's, and confirmed.
    #[serde(default)]
    pub confirmed: bool,
    /// What a guest proves with.
    #[serde(default)]
    pub secret: Option<SecretHash>,
    /// From where a guest came; see [`crate::domain::secret::address_key`].
    #[serde(default)]
    pub address: Option<String>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// Whether an agent had it before: then it waits at the head.
    pub returned: bool,
    /// Whoever gave it away.
    #[serde(default)]
    pub but: Option<CustomerId>,
}

/// What the customer thinks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// 1 to 5.
    pub score: u8,
    /// In words.
    #[serde(default)]
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A conversation as it is stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// The conversation.
    pub id: ConversationId,
    /// Where it stands.
    pub status: ConversationStatus,
    /// Whoever asks.
    pub customer: Customer,
    /// The language that they write (ISO 639-1).
    pub language: String,
    /// Who answers, when a person does.
    #[serde(default)]
    pub agent: Option<ChatAgent>,
    /// What an agent should know about.
    pub skill: Skill,
    /// The last intent that was recognised.
    #[serde(default)]
    pub intent: Option<String>,
    /// Why a person was wanted last.
    #[serde(default)]
    pub hand_over_reason: Option<Reason>,
    /// Its place in the queue, while it waits.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// Since when a person is wanted who has not answered yet.
    #[serde(default)]
    pub person_wanted_since: Option<Timestamp>,
    /// Whether answers are mailed when the customer is away.
    #[serde(default)]
    pub mail_promised: bool,
    /// How far the customer has got.
    #[serde(default)]
    pub customer_read: ReadState,
    /// How far the shop's side has got.
    #[serde(default)]
    pub agent_read: ReadState,
    /// What the customer thinks of it.
    #[serde(default)]
    pub rating: Option<Rating>,
    /// What the bot remembers.
    #[serde(default)]
    pub memory: Memory,
    /// The customer's messages that the bot still owes an answer, in order.
    #[serde(default)]
    pub bot_due: Vec<u64>,
    /// Since when it owes the first.
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
    /// When something last happened in it; receipts do not count.
    pub updated_at: Timestamp,
    /// Counts changes.
    pub version: u64,
    /// The last message's number.
    pub last_seq: u64,
}

/// What follows from a decision beside the new state: for those who watch, for mails and for counting.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A person answers now.
    Joined(ChatAgent),
    /// A person answers no more.
    Left(ChatAgent),
    /// A person is wanted.
    HandedOver(Reason),
    /// The bot answered.
    BotAnswered,
    /// A person answered for the first time since one was wanted so long ago.
    FirstAnswer(Duration),
    /// An agent's words must reach the customer by mail.
    AnsweredByMail(String),
}

/// What a conversation becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The conversation afterwards.
    pub next: Conversation,
    /// What is said.
    pub messages: Vec<ChatMessage>,
    /// What else follows.
    pub happened: Vec<Happened>,
}

/// A `Result` of a decision.
pub type Decided = Result<Decision, Refusal>;

impl Decision {
    fn say(&mut self, author: AuthorKind, name: &str, words: &Words, now: Timestamp) -> &mut ChatMessage {
        let message = message::plain(self.next.id, 0, author, name, words, now);
        self.push(message)
    }

    fn announce(&mut self, text: &str, now: Timestamp) {
        self.say(AuthorKind::System, SHOP_NAME, &Words::of_the_shop(text), now);
    }

    fn push(&mut self, mut message: ChatMessage) -> &mut ChatMessage {
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
        self.next.bot_owes_nothing();
    }
}

impl Conversation {
    /// A new one, in which nothing is said yet.
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

    fn bot_owes_nothing(&mut self) {
        self.bot_due.clear();
        self.bot_due_since = None;
    }

    fn open(&self) -> Result<(), Refusal> {
        if self.status == ConversationStatus::Closed { Err(Refusal::Closed) } else { Ok(()) }
    }

    fn is_with(&self, agent: CustomerId) -> bool {
        self.status == ConversationStatus::WithAgent && self.agent.as_ref().is_some_and(|with| with.id == agent)
    }

    /// The customer says something. The bot owes an answer while no person answers; a resolved conversation is the
    /// bot's again.
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
        let said = decision.say(AuthorKind::Customer, &self.customer.name, words, now);
        said.client_message_id = Some(client_message_id);
        let seq = said.seq;
        if decision.next.status == ConversationStatus::Bot {
            let due = &mut decision.next.bot_due;
            due.push(seq);
            due.drain(..due.len().saturating_sub(MOST_DUE));
            decision.next.bot_due_since.get_or_insert(now);
        }
        Ok(decision)
    }

    /// The bot answers the first message that it owes an answer. When a person was asked for meanwhile, the words are
    /// kept, since the bot may have done what they say, and the rest is not.
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
        let said = decision.say(AuthorKind::Bot, BOT_NAME, &Words::of_the_shop(&reply.text), now);
        said.links = reply.links;
        said.suggestions = reply.suggestions.into_iter().take(4).collect();
        said.answer_id = answer_id;
        decision.happened.push(Happened::BotAnswered);
        if self.status == ConversationStatus::Bot {
            if let Some(intent) = reply.intent {
                decision.next.intent = Some(intent.name().to_owned());
            }
            decision.next.memory = reply.memory;
            if let Some(hand_over) = reply.hand_over {
                decision.next.bot_owes_nothing();
                decision.queue(hand_over, someone_is_there, now);
            }
        } else {
            decision.next.bot_owes_nothing();
        }
        Ok(decision)
    }

    /// Forgets that the bot owes an answer: a person has it, or it is over.
    #[must_use]
    pub fn needs_no_bot(&self, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.next.updated_at = self.updated_at;
        decision.next.bot_owes_nothing();
        decision
    }

    /// The customer asks for a person. What the bot is about to say is still said.
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

    /// A guest says where to write to. When nobody is there to answer, the answer goes there.
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

    /// Nobody is there to answer any more while it waits: says so, once.
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

    /// The agent says something; by mail as well when that was promised to a customer who is away.
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

    /// The customer says what they think of it; the last time counts.
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

    /// One side has got so far. Never goes back, and not beyond what was said.
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

    /// Nobody has said anything for so long that it is over.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.announce("This conversation was closed because nobody wrote for a while.", now);
        decision.end(ConversationStatus::Closed);
        decision
    }

    /// A guest's conversation becomes an account's, whose owner showed its secret.
    #[must_use]
    pub fn taken_over_by(&self, customer: Customer, now: Timestamp) -> Decision {
        let mut decision = self.change(now);
        decision.next.customer = customer;
        decision
    }

    /// A transcript is sent: to this address, or to the one that is known.
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
        if sent.len() >= TRANSCRIPTS {
            return Err(Refusal::TooManyTranscripts);
        }
        sent.push(now);
        Ok((decision, to))
    }

    /// Its place among those who wait: lower comes first.
    #[must_use]
    pub fn rank(&self) -> Option<i64> {
        self.waiting.map(|waiting| routing::rank(waiting.since, waiting.returned))
    }

    /// As the API shows it; `position` is its place in the queue, from 1.
    #[must_use]
    pub fn view(&self, position: Option<u32>) -> rest::Conversation {
        rest::Conversation {
            id: self.id,
            status: self.status,
            customer_id: self.customer.id,
            customer_name: self.customer.name.clone(),
            language: self.language.clone(),
            agent: self.agent.clone(),
            intent: self.intent.clone(),
            queue_position: position.filter(|_| self.status == ConversationStatus::Queued),
            waiting_since: self
                .waiting
                .map(|waiting| waiting.since)
                .filter(|_| self.status == ConversationStatus::Queued),
            answer_by_mail: self.mail_promised && self.status == ConversationStatus::Queued,
            email_known: self.customer.email.is_some(),
            last_seq: self.last_seq,
            customer_read: self.customer_read,
            agent_read: self.agent_read,
            rating: self.rating.as_ref().map(|rating| rating.score),
            preview: self.preview.clone(),
            started_at: self.started_at,
            updated_at: self.updated_at,
            version: self.version,
        }
    }
}

/// How an agent ends a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The customer's next message opens it again.
    Resolved,
    /// Over.
    Closed,
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
