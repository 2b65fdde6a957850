use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::Window;

/// How many retries there may be, so that a callee in trouble is not asked several times as much because of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetPolicy {
    /// Over which time calls and retries are counted.
    pub window: Duration,
    /// Retries for each call: 0 to 1.
    pub share: f64,
    /// Retries that are always there, so that the failure of a rare call is not noticed either.
    pub least: u32,
}

impl Default for BudgetPolicy {
    /// One retry for every five calls of the last 30 s, and three more.
    fn default() -> Self {
        Self { window: Duration::from_secs(30), share: 0.2, least: 3 }
    }
}

/// Counts calls and the retries among them.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: BudgetPolicy,
    /// All are calls, marked are retries.
    window: Mutex<Window>,
}

impl Budget {
    pub(crate) fn new(policy: BudgetPolicy) -> Self {
        Self { policy, window: Mutex::new(Window::new(policy.window)) }
    }

    /// A call begins.
    pub(crate) fn call(&self) {
        self.lock().add(false);
    }

    /// Takes a retry from the budget, if one is left.
    pub(crate) fn retry(&self) -> bool {
        let mut window = self.lock();
        let counts = window.counts();
        let allowed = f64::from(counts.all) * self.policy.share + f64::from(self.policy.least);
        let left = f64::from(counts.marked) + 1.0 <= allowed;
        if left {
            window.mark();
        }
        left
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // Nothing panics while it is locked.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
