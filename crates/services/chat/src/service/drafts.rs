//! The bot's answers while they are written: each watcher gets the whole text, from the first piece on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bookworm_kernel::ConversationId;
use futures::{Stream, stream};
use tokio::sync::watch;
use uuid::Uuid;

/// How many finished answers can still be watched, for watchers that come late.
const FINISHED: usize = 1000;

/// The answers being written, and the last finished ones.
#[derive(Default)]
pub(crate) struct Drafts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    drafts: HashMap<Uuid, (ConversationId, watch::Receiver<String>)>,
    finished: std::collections::VecDeque<Uuid>,
}

/// The writing end of a draft; when it is dropped the answer is finished.
pub(crate) struct Pen {
    state: Arc<Mutex<State>>,
    id: Uuid,
    words: watch::Sender<String>,
}

impl Drafts {
    /// Starts an empty answer.
    pub fn begin(&self, conversation: ConversationId, id: Uuid) -> Pen {
        let (words, receiver) = watch::channel(String::new());
        lock(&self.0).drafts.insert(id, (conversation, receiver));
        Pen { state: Arc::clone(&self.0), id, words }
    }

    /// The text of an answer: what is there, then each piece as it comes, until it is finished.
    pub fn watch(
        &self,
        conversation: ConversationId,
        id: Uuid,
    ) -> Option<impl Stream<Item = String> + Send + 'static + use<>> {
        let state = lock(&self.0);
        let (of, receiver) = state.drafts.get(&id)?;
        if *of != conversation {
            return None;
        }
        let receiver = receiver.clone();
        Some(stream::unfold((receiver, 0), |(mut receiver, shown)| async move {
            loop {
                // Marked as seen at this point, so that pieces that come meanwhile wake us.
                let piece = receiver.borrow_and_update().get(shown..).unwrap_or_default().to_owned();
                if !piece.is_empty() {
                    let shown = shown + piece.len();
                    return Some((piece, (receiver, shown)));
                }
                if receiver.changed().await.is_err() {
                    return None;
                }
            }
        }))
    }
}

impl Pen {
    /// Appends a piece.
    pub fn write(&self, words: &str) {
        self.words.send_modify(|text| text.push_str(words));
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.finished.push_back(self.id);
        while state.finished.len() > FINISHED {
            if let Some(oldest) = state.finished.pop_front() {
                state.drafts.remove(&oldest);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_late_gets_every_word() {
        let (drafts, conversation, id) = (Drafts::default(), ConversationId::new(), Uuid::new_v4());
        let pen = drafts.begin(conversation, id);
        pen.write("Your order ");
        let early = drafts.watch(conversation, id).expect("it is being written");
        assert!(drafts.watch(ConversationId::new(), id).is_none(), "it is of another conversation");
        pen.write("is on its way.");
        drop(pen);
        let late = drafts.watch(conversation, id).expect("it can still be watched");
        assert_eq!(early.collect::<String>().await, "Your order is on its way.");
        assert_eq!(late.collect::<String>().await, "Your order is on its way.");
    }
}
