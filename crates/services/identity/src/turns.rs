use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tokio::sync::Mutex;

/// Turns for pairs of account and client. Pairs that share one wait for each other, which does no harm.
#[derive(Debug)]
pub(crate) struct Turns {
    turns: Vec<Arc<Mutex<()>>>,
    /// With a key of its own, so that nobody can aim at somebody else's turn.
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turns: (0..1024).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    pub(crate) fn of(&self, account: &str, client: &str) -> Arc<Mutex<()>> {
        let hash = self.hasher.hash_one((account, client));
        Arc::clone(&self.turns[hash as usize % self.turns.len()])
    }
}
