//! Who is connected to which instance. Nothing is stored: instances publish their changes, and ask each other for the rest.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_registry::{LIFETIME, RENEW_EACH, Roster};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{PubSub, pub_sub::Receiver};

/// How long a change may take to the others and back.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often those who have not answered are asked again.
const ASK_EACH: Duration = Duration::from_secs(1);

/// How often an instance says that it is there, and how long it counts without.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two signs of life.
    pub renew_each: Duration,
    /// From the last one to the loss of its members.
    pub lifetime: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { renew_each: RENEW_EACH, lifetime: LIFETIME }
    }
}

/// A roster over Redis's channels. [`run`](Self::run) must run for it.
pub struct RedisRoster {
    messages: Arc<PubSub>,
    timing: Timing,
    /// What this instance is called by the others.
    id: String,
    /// The channel of every instance, and the beginning of those of one each.
    channel: String,
    state: Mutex<State>,
    /// There is something to be sent.
    work: Notify,
    /// The number of the last change of ours that came back.
    returned: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// When expiries were last looked for.
    looked: Option<Instant>,
    mine: HashSet<String>,
    /// Changes that were not sent yet, the last of a member.
    unsent: HashMap<String, bool>,
    /// The number of the last change that was sent.
    number: u64,
    others: HashMap<String, Other>,
    lost: Vec<String>,
    asked: Asked,
    /// Instances of which something was missed, to be asked.
    missed: HashSet<String>,
    /// Instances that asked.
    askers: HashSet<String>,
}

struct Other {
    number: u64,
    members: HashSet<String>,
    heard: Instant,
}

/// How far this instance has got with asking everybody.
#[derive(Default)]
enum Asked {
    #[default]
    Never,
    /// Since when, how many there are, and who has answered.
    Waiting(Instant, u64, HashSet<String>),
    Answered,
}

/// What instances send to each other. `number` counts the changes of the sender.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Changed { from: String, number: u64, came: Vec<String>, went: Vec<String> },
    Here { from: String, number: u64 },
    Ask { from: String, number: u64 },
    Members { from: String, number: u64, members: Vec<String> },
}

impl fmt::Debug for RedisRoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRoster").field("id", &self.id).finish_non_exhaustive()
    }
}

impl RedisRoster {
    /// The roster of this name, for one instance.
    #[must_use]
    pub fn new(messages: Arc<PubSub>, name: &str, timing: Timing) -> Arc<Self> {
        let id = Uuid::new_v4().simple().to_string();
        let channel = messages.channel(&format!("roster:{name}"));
        let roster = Arc::new(Self {
            messages,
            timing,
            id,
            channel,
            state: Mutex::default(),
            work: Notify::new(),
            returned: watch::Sender::default(),
        });
        roster.messages.add(Arc::downgrade(&roster) as Weak<dyn Receiver>);
        roster.messages.listen(roster.channel.clone());
        roster.messages.listen(roster.channel_of(&roster.id));
        roster
    }

    fn channel_of(&self, instance: &str) -> String {
        format!("{}:{instance}", self.channel)
    }

    /// Publishes what is said here, and asks the others, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut renewal = interval(self.timing.renew_each);
        let mut look = interval(ASK_EACH.min(self.timing.renew_each));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.work.notified() => self.send_what_is_due().await,
                _ = renewal.tick() => self.say_hello().await,
                _ = look.tick() => self.look().await,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn send(&self, channel: &str, message: &Message) -> Option<u64> {
        let bytes = rmp_serde::to_vec_named(message).ok()?;
        self.messages.publish(channel, &bytes).await.ok()
    }

    async fn send_what_is_due(&self) {
        let (changed, missed, askers, all) = {
            let mut state = self.state();
            let changed = if state.unsent.is_empty() {
                None
            } else {
                state.number += 1;
                let (came, went): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut state.unsent).into_iter().partition(|(_, here)| *here);
                let names = |changes: Vec<(String, bool)>| changes.into_iter().map(|(member, _)| member).collect();
                let (from, number) = (self.id.clone(), state.number);
                Some(Message::Changed { from, number, came: names(came), went: names(went) })
            };
            let askers = std::mem::take(&mut state.askers);
            let all = (!askers.is_empty()).then(|| Message::Members {
                from: self.id.clone(),
                number: state.number,
                members: state.mine.iter().cloned().collect(),
            });
            (changed, std::mem::take(&mut state.missed), askers, all)
        };
        if let Some(changed) = changed
            && self.send(&self.channel, &changed).await.is_none()
        {
            self.nothing_returns();
        }
        for instance in missed {
            self.send(&self.channel_of(&instance), &self.question()).await;
        }
        if let Some(all) = all {
            for instance in askers {
                self.send(&self.channel_of(&instance), &all).await;
            }
        }
    }

    async fn say_hello(&self) {
        let number = self.state().number;
        self.send(&self.channel, &Message::Here { from: self.id.clone(), number }).await;
    }

    /// Asks everybody until they have answered, and loses those who are silent for too long.
    async fn look(&self) {
        if !self.messages.is_connected() {
            return;
        }
        let ask = {
            let mut state = self.state();
            let now = Instant::now();
            // This process was stopped meanwhile: what the others said is still on its way.
            if state.looked.replace(now).is_some_and(|last| now - last >= self.timing.lifetime / 2) {
                state.others.values_mut().for_each(|other| other.heard = now);
            }
            let answered = match &state.asked {
                Asked::Waiting(since, expected, answered) => {
                    answered.len() as u64 >= *expected || since.elapsed() >= self.timing.lifetime
                }
                Asked::Never => false,
                Asked::Answered => true,
            };
            if answered {
                state.asked = Asked::Answered;
                state.expire(self.timing.lifetime);
            }
            !answered
        };
        if ask {
            self.messages.listening(&[self.channel_of(&self.id), self.channel.clone()]).await;
            let asked = self.send(&self.channel, &self.question()).await;
            let others = asked.map(|processes| processes.saturating_sub(1));
            self.state().expect(others);
        }
    }

    fn question(&self) -> Message {
        Message::Ask { from: self.id.clone(), number: self.state().number }
    }

    /// What was sent may be lost: nobody waits for it to come back. The others see that they miss something.
    fn nothing_returns(&self) {
        let number = self.state().number;
        self.returned.send_modify(|returned| *returned = number.max(*returned));
    }

    fn changed(&self, member: &str, here: bool) {
        let mut state = self.state();
        let differs = if here { state.mine.insert(member.to_owned()) } else { state.mine.remove(member) };
        if differs {
            state.unsent.insert(member.to_owned(), here);
            self.work.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Everybody was asked; `None` when that failed.
    fn expect(&mut self, others: Option<u64>) {
        match (&mut self.asked, others) {
            (_, None) | (Asked::Answered, _) => {}
            (Asked::Waiting(_, expected, _), Some(others)) => *expected = others,
            (Asked::Never, Some(others)) => self.asked = Asked::Waiting(Instant::now(), others, HashSet::new()),
        }
    }

    fn expire(&mut self, lifetime: Duration) {
        let gone: Vec<Other> =
            self.others.extract_if(|_, other| other.heard.elapsed() >= lifetime).map(|(_, other)| other).collect();
        for member in gone.into_iter().flat_map(|other| other.members) {
            if !self.mine.contains(&member) && !self.has(&member) {
                self.lost.push(member);
            }
        }
    }

    /// Whether another instance has the member.
    fn has(&self, member: &str) -> bool {
        self.others.values().any(|other| other.members.contains(member))
    }

    /// Takes a change of another instance. Whether one before was missed.
    fn take(&mut self, from: &str, number: u64, came: Vec<String>, went: &[String]) -> bool {
        let Some(other) = self.others.get_mut(from) else { return true };
        other.heard = Instant::now();
        if number <= other.number {
            return false;
        }
        if number > other.number + 1 {
            return true;
        }
        other.number = number;
        other.members.extend(came);
        for member in went {
            other.members.remove(member);
        }
        false
    }

    /// Another instance is there, and has sent so many changes. Whether one was missed.
    fn hears(&mut self, from: &str, number: u64) -> bool {
        let Some(other) = self.others.get_mut(from) else { return true };
        other.heard = Instant::now();
        number > other.number
    }

    /// Another instance says who is there.
    fn replace(&mut self, from: String, number: u64, members: Vec<String>) {
        // It was asked after everybody was.
        if let Asked::Waiting(_, _, answered) = &mut self.asked {
            answered.insert(from.clone());
        }
        let other = Other { number, members: members.into_iter().collect(), heard: Instant::now() };
        match self.others.get(&from) {
            Some(known) if known.number > number => {}
            _ => drop(self.others.insert(from, other)),
        }
    }
}

impl Receiver for RedisRoster {
    fn receive(&self, channel: &str, message: &[u8]) {
        if channel != self.channel && channel != self.channel_of(&self.id) {
            return;
        }
        let Ok(message) = rmp_serde::from_slice::<Message>(message) else { return };
        let (from, missed) = match message {
            Message::Changed { from, number, .. } if from == self.id => {
                self.returned.send_modify(|returned| *returned = number.max(*returned));
                return;
            }
            Message::Here { from, .. } | Message::Ask { from, .. } | Message::Members { from, .. }
                if from == self.id =>
            {
                return;
            }
            Message::Changed { from, number, came, went } => {
                let missed = self.state().take(&from, number, came, &went);
                (from, missed)
            }
            Message::Here { from, number } => {
                let missed = self.state().hears(&from, number);
                (from, missed)
            }
            Message::Ask { from, number } => {
                let missed = {
                    let mut state = self.state();
                    state.askers.insert(from.clone());
                    state.hears(&from, number)
                };
                self.work.notify_one();
                (from, missed)
            }
            Message::Members { from, number, members } => return self.state().replace(from, number, members),
        };
        if missed {
            self.state().missed.insert(from);
            self.work.notify_one();
        }
    }

    fn resumed(&self, _: bool) {
        self.nothing_returns();
        let mut state = self.state();
        state.asked = Asked::Never;
        // They could not be heard.
        state.others.values_mut().for_each(|other| other.heard = Instant::now());
    }
}

#[async_trait]
impl Roster for RedisRoster {
    fn enter(&self, member: &str) {
        self.changed(member, true);
    }

    fn leave(&self, member: &str) {
        self.changed(member, false);
    }

    async fn settled(&self) {
        let wanted = {
            let state = self.state();
            state.number + u64::from(!state.unsent.is_empty())
        };
        let mut returned = self.returned.subscribe();
        let back = returned.wait_for(|number| *number >= wanted || !self.messages.is_connected());
        let _ = timeout(SETTLE_TIMEOUT, back).await;
    }

    fn is_elsewhere(&self, member: &str) -> bool {
        self.state().has(member)
    }

    fn is_known(&self) -> bool {
        matches!(self.state().asked, Asked::Answered) && self.messages.is_connected()
    }

    fn take_lost(&self) -> Vec<String> {
        std::mem::take(&mut self.state().lost)
    }
}
