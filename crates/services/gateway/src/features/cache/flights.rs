//! One asks for all: who asks what is already being asked waits for that answer.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use super::Landed;

type Flying = watch::Receiver<Option<Arc<Landed>>>;

/// The questions that are under way.
pub struct Flights {
    flying: Mutex<HashMap<Arc<str>, Flying>>,
    most: usize,
    waiting: AtomicUsize,
}

/// What who asks has to do.
pub enum Boarding {
    /// Ask, and [`land`](Ticket::land) with the answer. Others will wait for it.
    Lead(Ticket, Wait),
    /// Somebody asks already.
    Join(Wait),
    /// Too much is being asked at once for any more to be remembered.
    Full,
}

/// The duty to bring an answer. Dropped without one, those who wait are told that there is none.
pub struct Ticket {
    flights: Arc<Flights>,
    key: Arc<str>,
    landed: watch::Sender<Option<Arc<Landed>>>,
}

/// The hope for one.
pub struct Wait {
    flying: Flying,
    flights: Arc<Flights>,
}

impl Flights {
    /// At most this many at once.
    pub fn new(most: usize) -> Self {
        Self { flying: Mutex::default(), most, waiting: AtomicUsize::new(0) }
    }

    /// Joins the flight with this key, or begins it.
    pub fn board(self: &Arc<Self>, key: &Arc<str>) -> Boarding {
        let mut flying = self.flying();
        let full = flying.len() >= self.most;
        match flying.entry(key.clone()) {
            Entry::Occupied(there) => Boarding::Join(self.wait(there.get().clone())),
            Entry::Vacant(_) if full => Boarding::Full,
            Entry::Vacant(free) => {
                let (landed, wait) = watch::channel(None);
                free.insert(wait.clone());
                Boarding::Lead(Ticket { flights: self.clone(), key: key.clone(), landed }, self.wait(wait))
            }
        }
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.flying().len()
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn wait(self: &Arc<Self>, flying: Flying) -> Wait {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Wait { flying, flights: self.clone() }
    }

    fn flying(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Flying>> {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// What is being asked.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Hands the answer to all who wait. Who asks from now on begins a flight of their own, so it must be kept before.
    pub fn land(self, answer: Arc<Landed>) {
        self.leave();
        // Nobody may be waiting any more.
        let _ = self.landed.send(Some(answer));
    }

    fn leave(&self) {
        let mut flying = self.flights.flying();
        // After landing, another flight may have this key.
        if flying.get(&self.key).is_some_and(|there| there.same_channel(&self.landed.subscribe())) {
            flying.remove(&self.key);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Wait {
    /// The answer; `None` when the flight ended without one.
    pub async fn arrival(mut self) -> Option<Arc<Landed>> {
        self.flying.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.flights.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
