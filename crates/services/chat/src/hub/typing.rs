//! Who is writing just now. It ends with the message, with the conversation, with the connection, and after a while in
//! case the end is never told; each end is told to the other side, once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bookworm_kernel::ConversationId;
use tokio::time::Instant;

use super::wire::TypingEvent;
use crate::{Chat, domain::message::Side};

/// How long somebody counts as writing who does not say so again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(6);

/// Who writes on each side.
#[derive(Default)]
pub(crate) struct Typing(Mutex<HashMap<(ConversationId, Side), Writer>>);

/// Somebody who writes.
struct Writer {
    /// What the other side was told.
    event: TypingEvent,
    /// Where they do.
    connection: String,
    /// Until when they count as writing.
    until: Instant,
}

impl Typing {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ConversationId, Side), Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody writes. Whether nobody of that side did before.
    fn started(&self, side: Side, event: TypingEvent, connection: &str) -> bool {
        let key = (event.conversation_id, side);
        let until = Instant::now() + FORGOTTEN_AFTER;
        self.lock().insert(key, Writer { event, connection: connection.to_owned(), until }).is_none()
    }

    /// That side writes no more: what to tell the other, if it did.
    fn stopped(&self, conversation: ConversationId, side: Side) -> Option<TypingEvent> {
        let writer = self.lock().remove(&(conversation, side))?;
        Some(TypingEvent { typing: false, ..writer.event })
    }

    /// Whoever wrote there writes no more.
    fn left(&self, connection: &str) -> Vec<(Side, TypingEvent)> {
        let gone = self.lock().extract_if(|_, writer| writer.connection == connection).collect::<Vec<_>>();
        gone.into_iter().map(|((_, side), writer)| (side, TypingEvent { typing: false, ..writer.event })).collect()
    }

    fn until(&self, conversation: ConversationId, side: Side) -> Option<Instant> {
        self.lock().get(&(conversation, side)).map(|writer| writer.until)
    }
}

impl Chat {
    /// Shows the other side that somebody writes, or does no more.
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

    /// That side writes no more; the other is told if it thought so.
    pub(crate) async fn typing_ends(&self, conversation: ConversationId, side: Side) {
        if let Some(event) = self.typing.stopped(conversation, side) {
            self.show_typing(other(side), event).await;
        }
    }

    /// A connection is over, and with it whatever was being written there.
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
