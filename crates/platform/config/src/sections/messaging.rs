use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// How messages between services are delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messaging {
    /// How often a message is tried before it becomes a dead letter: 1 to 100. Default 8.
    pub max_attempts: u32,
    /// Wait before the second try, in milliseconds; each further one doubles it: 1 to 60000. Default 200.
    pub backoff_initial_ms: u64,
    /// The longest wait between two tries, in seconds: 1 to 3600. Default 60.
    pub backoff_max_seconds: u64,
    /// For how many seconds a message belongs to the worker that took it: 5 to 3600. Default 30. After that another
    /// worker takes it.
    pub lease_seconds: u64,
    /// For how many days delivered messages are retained: 1 to 3650. Default 7.
    pub retention_days: u32,
    /// How many messages of one consumer are worked on at once: 1 to 256. Default 8.
    pub workers_per_consumer: u32,
}

impl Default for Messaging {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            backoff_initial_ms: 200,
            backoff_max_seconds: 60,
            lease_seconds: 30,
            retention_days: 7,
            workers_per_consumer: 8,
        }
    }
}

impl Validate for Messaging {
    fn validate(&self, v: &mut Validation) {
        v.range("max_attempts", self.max_attempts, 1..=100);
        v.range("backoff_initial_ms", self.backoff_initial_ms, 1..=60_000);
        v.range("backoff_max_seconds", self.backoff_max_seconds, 1..=3600);
        v.range("lease_seconds", self.lease_seconds, 5..=3600);
        v.range("retention_days", self.retention_days, 1..=3650);
        v.range("workers_per_consumer", self.workers_per_consumer, 1..=256);
    }
}
