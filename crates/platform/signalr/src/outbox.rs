//! What waits to be written to one client. Bounded in bytes; payloads are shared between clients.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// How many bytes of waiting messages are joined into one write. A larger message is written alone.
const BATCH: usize = 16 * 1024;

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    space: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Full,
    Closed,
}

impl Outbox {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message when there is room below `limit` bytes. An empty queue takes a message of any size.
    pub fn push(&self, message: Bytes, limit: usize) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Closed;
        }
        if state.bytes > 0 && state.bytes + message.len() > limit {
            return Pushed::Full;
        }
        state.bytes += message.len();
        state.queue.push_back(message);
        Pushed::Queued
    }

    /// Adds a message, after waiting for room below `limit` bytes; `queued` is called when it is in. `false`: closed.
    pub async fn push_waiting(&self, message: Bytes, limit: usize, queued: impl Fn()) -> bool {
        loop {
            let space = self.space.notified();
            match self.push(message.clone(), limit) {
                Pushed::Queued => {
                    queued();
                    return true;
                }
                Pushed::Closed => return false,
                Pushed::Full => space.await,
            }
        }
    }

    /// Takes as many whole messages as fit into one write and `most` bytes (at least one). `each` sees every one of them.
    pub fn take(&self, most: usize, mut each: impl FnMut(&Bytes)) -> Option<Bytes> {
        let mut state = self.state();
        let first = state.queue.pop_front()?;
        each(&first);
        let most = most.min(BATCH);
        let mut joined: Option<BytesMut> = None;
        let mut length = first.len();
        while let Some(next) = state.queue.front() {
            if length + next.len() > most {
                break;
            }
            each(next);
            length += next.len();
            let joined = joined.get_or_insert_with(|| {
                let mut joined = BytesMut::with_capacity(first.len() + next.len());
                joined.extend_from_slice(&first);
                joined
            });
            joined.extend_from_slice(next);
            state.queue.pop_front();
        }
        state.bytes -= length;
        if state.queue.is_empty() {
            // An idle connection has no queue.
            state.queue = VecDeque::new();
        }
        drop(state);
        self.space.notify_waiters();
        Some(joined.map_or(first, BytesMut::freeze))
    }

    /// Takes no more; what waits can still be taken.
    pub fn close(&self) {
        self.state().closed = true;
        self.space.notify_waiters();
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.state().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_joined_in_order_and_the_limit_holds() {
        let outbox = Outbox::default();
        for message in ["one", "two", "three"] {
            assert_eq!(outbox.push(Bytes::from_static(message.as_bytes()), 12), Pushed::Queued);
        }
        assert_eq!(outbox.push(Bytes::from_static(b"four"), 12), Pushed::Full);
        assert_eq!(outbox.waiting(), 11);
        let mut count = 0;
        assert_eq!(outbox.take(8, |_| count += 1).unwrap(), "onetwo");
        assert_eq!(count, 2);
        assert_eq!(outbox.take(8, |_| {}).unwrap(), "three");
        assert_eq!(outbox.take(8, |_| {}), None);
        assert_eq!(outbox.push(Bytes::from(vec![0; 100]), 12), Pushed::Queued, "an empty queue takes anything");
        outbox.close();
        assert_eq!(outbox.push(Bytes::new(), 12), Pushed::Closed);
        assert_eq!(outbox.take(8, |_| {}).map(|bytes| bytes.len()), Some(100));
    }

    #[tokio::test]
    async fn who_waits_for_room_goes_on_when_there_is_some_or_when_it_closes() {
        let outbox = std::sync::Arc::new(Outbox::default());
        outbox.push(Bytes::from_static(b"full"), 4);
        let pusher = std::sync::Arc::clone(&outbox);
        let waiting = tokio::spawn(async move { pusher.push_waiting(Bytes::from_static(b"next"), 4, || {}).await });
        tokio::task::yield_now().await;
        assert_eq!(outbox.take(100, |_| {}).unwrap(), "full");
        assert!(waiting.await.unwrap());
        let pusher = std::sync::Arc::clone(&outbox);
        let waiting = tokio::spawn(async move { pusher.push_waiting(Bytes::from_static(b"last"), 4, || {}).await });
        tokio::task::yield_now().await;
        outbox.close();
        assert!(!waiting.await.unwrap());
    }
}
