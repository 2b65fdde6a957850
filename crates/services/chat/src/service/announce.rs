//! Events to the connections attached to a conversation, sent once a change is stored.

use bookworm_contracts::rest::chat as rest;
use bookworm_kernel::{ConversationId, CustomerId};
use bookworm_signalr::SendError;
use serde::Serialize;

use super::{
    Chat,
    events::{AgentEvent, AnswerEvent, DeletedEvent, PresenceEvent, ReceiptEvent, TypingEvent},
};
use crate::domain::{
    conversation::{Conversation, ConversationStatus, Happened},
    message::{self, AuthorKind, Message, Side},
};

/// The group of agents who are not offline.
pub(crate) const DESK: &str = "desk";

/// The group of one side of a conversation.
pub(crate) fn group(side: Side, conversation: ConversationId) -> String {
    format!("{}:{conversation}", side.name())
}

/// The group of an agent's connections.
pub(crate) fn agent_group(agent: CustomerId) -> String {
    format!("of:{agent}")
}

impl Chat {
    /// Sends to a group. Never waits for a slow reader; an event that reaches nobody is in the store.
    pub(crate) async fn send(&self, group: String, event: &str, argument: impl Serialize + Send + Sync) {
        let Some(hub) = self.hub() else { return };
        match hub.clients().group(group).send(event, (argument,)).await {
            Ok(()) => {}
            // The connection's own log says so once; clients elsewhere resynchronise when it is back.
            Err(SendError::Backplane(error)) => {
                tracing::debug!(
                    event,
                    error = &error as &dyn std::error::Error,
                    "an event was sent to this instance only"
                );
            }
            Err(error) => tracing::warn!(event, error = &error as &dyn std::error::Error, "an event was not sent"),
        }
    }

    async fn send_to_both(&self, conversation: ConversationId, event: &str, argument: &(impl Serialize + Send + Sync)) {
        for side in [Side::Customer, Side::Agent] {
            self.send(group(side, conversation), event, argument).await;
        }
    }

    /// Announces a change that was stored.
    pub(crate) async fn announce(
        &self,
        before: Option<&Conversation>,
        after: &Conversation,
        messages: &[Message],
        happened: &[Happened],
    ) {
        for message in messages {
            self.show(message).await;
        }
        let over = matches!(after.status, ConversationStatus::Resolved | ConversationStatus::Closed);
        if over {
            self.typing_ends(after.id, Side::Customer).await;
        }
        if over || before.is_some_and(|before| before.agent != after.agent) {
            self.typing_ends(after.id, Side::Agent).await;
        }
        for happened in happened {
            self.count(happened);
            match happened {
                Happened::Joined(agent) => {
                    let event = AgentEvent { conversation_id: after.id, agent: agent.clone().into() };
                    self.send_to_both(after.id, "agent_joined", &event).await;
                }
                Happened::Left(agent) => {
                    let event = AgentEvent { conversation_id: after.id, agent: agent.clone().into() };
                    self.send_to_both(after.id, "agent_left", &event).await;
                }
                _ => {}
            }
        }
        if before.is_some_and(|before| status_changed(before, after)) {
            match self.view(after).await {
                Ok(view) => self.send_to_both(after.id, "status", &view).await,
                Err(problem) => tracing::warn!(%problem, "a change of status was not shown"),
            }
            if before.is_some_and(|before| before.agent != after.agent) {
                self.show_presence(after).await;
            }
            self.desk.notify_one();
        } else if after.status == ConversationStatus::Queued && !messages.is_empty() {
            self.desk.notify_one();
        }
        if let Some(before) = before {
            self.show_receipts(before, after).await;
        }
        if !after.bot_due.is_empty() {
            self.answer_what_is_due(after.id);
        }
    }

    async fn show(&self, message: &Message) {
        metrics::counter!("chat_messages_total", "author" => author_name(message.author)).increment(1);
        self.typing_ends(message.conversation_id, Side::of(message.author)).await;
        for side in [Side::Customer, Side::Agent] {
            let seen = rest::ChatMessage::from(message::seen_by(side, message.clone()));
            self.send(group(side, message.conversation_id), "message", seen).await;
        }
    }

    async fn show_receipts(&self, before: &Conversation, after: &Conversation) {
        let sides = [
            (Side::Customer, Side::Agent, before.customer_read, after.customer_read),
            (Side::Agent, Side::Customer, before.agent_read, after.agent_read),
        ];
        for (side, other, before, now) in sides {
            if before != now {
                let event = ReceiptEvent {
                    conversation_id: after.id,
                    side: side.name(),
                    delivered: now.delivered,
                    read: now.read,
                };
                self.send(group(other, after.id), "receipt", event).await;
            }
        }
    }

    /// Who is connected, as an event.
    pub(crate) fn presence_of(&self, conversation: &Conversation) -> PresenceEvent {
        PresenceEvent {
            conversation_id: conversation.id,
            customer_online: self.presence.customer_is_there(conversation.id),
            agent_online: conversation.agent.as_ref().is_some_and(|agent| self.presence.agent_is_there(agent.id)),
        }
    }

    /// Announces who is connected.
    pub(crate) async fn show_presence(&self, conversation: &Conversation) {
        self.send_to_both(conversation.id, "presence", &self.presence_of(conversation)).await;
    }

    /// Announces to one side whether the other is typing.
    pub(crate) async fn show_typing(&self, to: Side, event: TypingEvent) {
        self.send(group(to, event.conversation_id), "typing", event).await;
    }

    /// Announces to the customer that the bot's answer can be streamed.
    pub(crate) async fn show_answer(&self, event: AnswerEvent) {
        self.send(group(Side::Customer, event.conversation_id), "answer", event).await;
    }

    /// Announces that a conversation was deleted.
    pub(crate) async fn announce_deleted(&self, id: ConversationId) {
        for side in [Side::Customer, Side::Agent] {
            self.typing_ends(id, side).await;
        }
        self.send_to_both(id, "deleted", &DeletedEvent { conversation_id: id }).await;
        self.presence.forget(id);
        self.desk.notify_one();
    }

    fn count(&self, happened: &Happened) {
        match happened {
            Happened::HandedOver(reason) => {
                metrics::counter!("chat_hand_overs_total", "reason" => reason.name()).increment(1);
            }
            Happened::BotAnswered => metrics::counter!("chat_bot_answers_total").increment(1),
            Happened::FirstAnswer(wait) => {
                metrics::histogram!("chat_first_agent_answer_seconds").record(wait.as_secs_f64());
            }
            Happened::AnsweredByMail(_) => metrics::counter!("chat_answers_by_mail_total").increment(1),
            Happened::Joined(_) | Happened::Left(_) => {}
        }
    }
}

fn status_changed(before: &Conversation, after: &Conversation) -> bool {
    before.status != after.status
        || before.agent != after.agent
        || before.intent != after.intent
        || before.rating != after.rating
        || before.mail_promised != after.mail_promised
        || before.customer != after.customer
}

fn author_name(author: AuthorKind) -> &'static str {
    match author {
        AuthorKind::Customer => "customer",
        AuthorKind::Bot => "bot",
        AuthorKind::Agent => "agent",
        AuthorKind::System => "system",
    }
}
