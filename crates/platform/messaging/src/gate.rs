//! Whether a consumer goes on while something that its reactions need does not answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bookworm_kernel::MessageId;
use tokio::time::Instant;

use crate::Policy;

/// How many messages in a row must find that something does not answer before the consumer pauses. One alone may have
/// met a trouble of its own, and the others shall not wait for it.
const OUTAGE: u32 = 2;
/// How many messages are remembered that were put back.
const REMEMBERED: usize = 10_000;

/// Closed in an outage, that is when messages one after the other fail for want of something else. While it is closed
/// one message at a time finds out, after a growing pause, whether the outage is over. It opens with the first message
/// that finds an answer.
pub(crate) struct Gate {
    consumer: Arc<str>,
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each message was put back, since its reaction was last answered.
    put_back: HashMap<MessageId, u32>,
    /// Messages in a row without an answer, and the last of them.
    in_a_row: u32,
    last: Option<MessageId>,
    /// How often it has paused in this outage.
    pauses: u32,
    /// When the next message may find out.
    until: Option<Instant>,
}

impl Gate {
    pub fn new(consumer: Arc<str>, policy: Policy) -> Self {
        let gate = Self { consumer, policy, state: Mutex::default() };
        gate.show(false);
        gate
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, paused: bool) {
        metrics::gauge!("bus_consumer_paused", "consumer" => self.consumer.clone()).set(u8::from(paused));
    }

    pub fn is_open(&self) -> bool {
        self.state().until.is_none()
    }

    /// How long until the next message may find out; nothing while it is open.
    pub fn wait(&self) -> Duration {
        self.state().until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// A message's reaction was answered, well or badly.
    pub fn passed(&self, message: MessageId) {
        let mut state = self.state();
        state.put_back.remove(&message);
        (state.in_a_row, state.last, state.pauses) = (0, None, 0);
        if state.until.take().is_some() {
            self.show(false);
            tracing::info!(consumer = &*self.consumer, "the outage is over");
        }
    }

    /// A message's reaction met something that does not answer. Returns how often that has happened to it.
    pub fn failed(&self, message: MessageId) -> u32 {
        let times = self.put_back(message);
        let mut state = self.state();
        if state.last.replace(message) != Some(message) {
            state.in_a_row += 1;
        }
        let now = Instant::now();
        // Those who were under way when it closed do not make the pause longer.
        if state.in_a_row >= OUTAGE && state.until.is_none_or(|until| until <= now) {
            state.pauses += 1;
            if state.until.is_none() {
                self.show(true);
                tracing::warn!(
                    consumer = &*self.consumer,
                    "an outage: one message at a time finds out when it is over"
                );
            }
            state.until = Some(now + self.policy.outage_backoff(state.pauses));
        }
        times
    }

    /// Counts that a message was put back. Returns how often.
    pub fn put_back(&self, message: MessageId) -> u32 {
        let mut state = self.state();
        if state.put_back.len() >= REMEMBERED {
            state.put_back.clear();
        }
        let times = state.put_back.entry(message).or_default();
        *times = times.saturating_add(1);
        *times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new("a".into(), Policy::default())
    }

    #[tokio::test(start_paused = true)]
    async fn one_message_alone_does_not_stop_the_others() {
        let (gate, ill) = (gate(), MessageId::new());
        for times in 1..100 {
            assert_eq!(gate.failed(ill), times);
            assert!(gate.is_open());
        }
        gate.passed(MessageId::new());
        assert_eq!(gate.failed(ill), 100, "its own count goes on");
        gate.passed(ill);
        assert_eq!(gate.failed(ill), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_closes_it_until_a_message_passes() {
        let gate = gate();
        let (a, b) = (MessageId::new(), MessageId::new());
        gate.failed(a);
        gate.failed(b);
        assert!(!gate.is_open());
        let first = gate.wait();
        assert!(first >= Duration::from_millis(100) && first <= Duration::from_millis(200), "{first:?}");
        gate.failed(a);
        assert_eq!(gate.wait(), first, "who was under way does not lengthen the pause");
        for _ in 0..20 {
            tokio::time::advance(gate.wait()).await;
            gate.failed(a);
        }
        assert!(gate.wait() >= Duration::from_secs(5) && gate.wait() <= MAX, "{:?}", gate.wait());
        gate.passed(b);
        assert!(gate.is_open());
        assert_eq!(gate.wait(), Duration::ZERO);
    }

    const MAX: Duration = Duration::from_secs(10);
}
