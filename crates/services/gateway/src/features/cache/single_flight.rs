//! Single-flight: a request for what is being fetched already waits for that fetch.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use super::Fetched;

type Outcome = watch::Receiver<Option<Arc<Fetched>>>;

/// The fetches under way, by key.
pub struct SingleFlight {
    fetches: Mutex<HashMap<Arc<str>, Outcome>>,
    max: usize,
    followers: AtomicUsize,
}

/// What a request has to do.
pub enum Admission {
    /// Fetch, and [`complete`](Leader::complete) with the answer. Others follow.
    Lead(Leader, Follower),
    /// Wait for the fetch under way.
    Follow(Follower),
    /// As many fetches as may be are under way.
    Full,
}

/// Fetches for all that follow. Dropped without an answer, its followers get none.
pub struct Leader {
    single_flight: Arc<SingleFlight>,
    key: Arc<str>,
    outcome: watch::Sender<Option<Arc<Fetched>>>,
}

/// Waits for a leader's answer.
pub struct Follower {
    outcome: Outcome,
    single_flight: Arc<SingleFlight>,
}

impl SingleFlight {
    /// At most `max` fetches at once.
    pub fn new(max: usize) -> Self {
        Self { fetches: Mutex::default(), max, followers: AtomicUsize::new(0) }
    }

    /// Follows the fetch with this key, or leads one.
    pub fn admit(self: &Arc<Self>, key: &Arc<str>) -> Admission {
        let mut fetches = self.lock();
        let full = fetches.len() >= self.max;
        match fetches.entry(key.clone()) {
            Entry::Occupied(fetch) => Admission::Follow(self.follow(fetch.get().clone())),
            Entry::Vacant(_) if full => Admission::Full,
            Entry::Vacant(free) => {
                let (outcome, receiver) = watch::channel(None);
                free.insert(receiver.clone());
                Admission::Lead(
                    Leader { single_flight: self.clone(), key: key.clone(), outcome },
                    self.follow(receiver),
                )
            }
        }
    }

    /// How many fetches are under way.
    pub fn fetches(&self) -> usize {
        self.lock().len()
    }

    /// How many requests wait for one, leaders among them.
    pub fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    fn follow(self: &Arc<Self>, outcome: Outcome) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower { outcome, single_flight: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Outcome>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// The key of the fetch.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Hands the answer to all followers. The next request leads a fetch of its own, so store the answer before.
    pub fn complete(self, fetched: Arc<Fetched>) {
        self.leave();
        // There may be no follower any more.
        let _ = self.outcome.send(Some(fetched));
    }

    fn leave(&self) {
        let mut fetches = self.single_flight.lock();
        // Once this one has completed, another fetch may have its key.
        if fetches.get(&self.key).is_some_and(|fetch| fetch.same_channel(&self.outcome.subscribe())) {
            fetches.remove(&self.key);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Follower {
    /// The answer; `None` when the leader was dropped without one.
    pub async fn outcome(mut self) -> Option<Arc<Fetched>> {
        self.outcome.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.single_flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
