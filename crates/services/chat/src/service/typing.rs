//! Who is typing. It ends with the message, the conversation or the connection, and after a timeout; each end is
//! announced to the other side, once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bookworm_kernel::ConversationId;
use tokio::time::Instant;

use super::{Chat, events::TypingEvent};
use crate::domain::message::Side;

/// How long somebody counts as typing without another call.
const TYPING_TIMEOUT: Duration = Duration::from_secs(6);

/// Who is typing, on each side of each conversation.
#[derive(Default)]
pub(crate) struct Typing(Mutex<HashMap<(ConversationId, Side), Writer>>);

/// Somebody who is typing.
struct Writer {
    /// The event that was sent to the other side.
    event: TypingEvent,
    /// Their connection.
    connection: String,
    /// Until when they count as typing.
    until: Instant,
}

impl Typing {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ConversationId, Side), Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is typing. Whether nobody of that side was before.
    fn started(&self, side: Side, event: TypingEvent, connection: &str) -> bool {
        let key = (event.conversation_id, side);
        let until = Instant::now() + TYPING_TIMEOUT;
        self.lock().insert(key, Writer { event, connection: connection.to_owned(), until }).is_none()
    }

    /// That side is no longer typing: the event for the other side, if it was.
    fn stopped(&self, conversation: ConversationId, side: Side) -> Option<TypingEvent> {
        let writer = self.lock().remove(&(conversation, side))?;
        Some(TypingEvent { typing: false, ..writer.event })
    }

    /// Those who were typing on this connection: the events for their other sides.
    fn left(&self, connection: &str) -> Vec<(Side, TypingEvent)> {
        let gone = self.lock().extract_if(|_, writer| writer.connection == connection).collect::<Vec<_>>();
        gone.into_iter().map(|((_, side), writer)| (side, TypingEvent { typing: false, ..writer.event })).collect()
    }

    fn until(&self, conversation: ConversationId, side: Side) -> Option<Instant> {
        self.lock().get(&(conversation, side)).map(|writer| writer.until)
    }
}

impl Chat {
    /// Announces to the other side that somebody is typing, or no longer is.
    pub(crate) async fn typing(self: &Arc<Self>, side: Side, event: TypingEvent, connection: &str) {
        let id = event.conversation_id;
        if !event.typing {
            return self.typing_ends(id, side).await;
        }
        if self.typing.started(side, event.clone(), connection) {
            let chat = Arc::clone(self);
            tokio::spawn(async move {
                while let Some(until) = chat.typing.until(id, side) {
                    tokio::time::sleep_until(until).await;
                    if chat.typing.until(id, side).is_some_and(|until| until <= Instant::now()) {
                        chat.typing_ends(id, side).await;
                    }
                }
            });
        }
        self.show_typing(other(side), event).await;
    }

    /// That side is no longer typing; the other side is notified if it was.
    pub(crate) async fn typing_ends(&self, conversation: ConversationId, side: Side) {
        if let Some(event) = self.typing.stopped(conversation, side) {
            self.show_typing(other(side), event).await;
        }
    }

    /// A connection ended: those who were typing on it no longer are.
    pub(crate) async fn typing_ends_at(&self, connection: &str) {
        for (side, event) in self.typing.left(connection) {
            self.show_typing(other(side), event).await;
        }
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Customer => Side::Agent,
        Side::Agent => Side::Customer,
    }
}
