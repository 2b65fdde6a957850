//! Who is writing just now. Forgotten after a while, in case the end is never told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_kernel::ConversationId;
use tokio::time::Instant;

use super::wire::TypingEvent;
use crate::{Chat, domain::message::Side};

/// How long somebody counts as writing who does not say so again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(6);

/// Until when each side counts as writing.
#[derive(Default)]
pub(crate) struct Typing(Mutex<HashMap<(ConversationId, Side), Instant>>);

impl Typing {
    /// Somebody writes. Whether nobody of that side did before.
    fn started(&self, conversation: ConversationId, side: Side) -> bool {
        let until = Instant::now() + FORGOTTEN_AFTER;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((conversation, side), until).is_none()
    }

    /// That side writes no more. Whether it did.
    pub fn stopped(&self, conversation: ConversationId, side: Side) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(conversation, side)).is_some()
    }

    fn until(&self, conversation: ConversationId, side: Side) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(conversation, side)).copied()
    }
}

impl Chat {
    /// Shows the other side that somebody writes, or does no more.
    pub(crate) async fn typing(self: &Arc<Self>, side: Side, event: TypingEvent) {
        let (id, other) = (event.conversation_id, other(side));
        if !event.typing {
            if self.typing.stopped(id, side) {
                self.show_typing(other, event).await;
            }
            return;
        }
        if self.typing.started(id, side) {
            let (chat, name, author) = (Arc::clone(self), event.name.clone(), event.author);
            tokio::spawn(async move {
                while let Some(until) = chat.typing.until(id, side) {
                    tokio::time::sleep_until(until).await;
                    if chat.typing.until(id, side).is_some_and(|until| until <= Instant::now())
                        && chat.typing.stopped(id, side)
                    {
                        let event = TypingEvent { conversation_id: id, author, name: name.clone(), typing: false };
                        chat.show_typing(other, event).await;
                    }
                }
            });
        }
        self.show_typing(other, event).await;
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Customer => Side::Agent,
        Side::Agent => Side::Customer,
    }
}
