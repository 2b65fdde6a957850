//! What a process says of itself to monitors.

use bookworm_contracts::rest::operations::{HealthCheck, HealthError};
use bookworm_kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// How a process is. Readers of other releases ignore fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vitals {
    /// Its name among the shop's processes.
    pub process: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// The release it runs.
    pub version: String,
    /// Where it runs; empty when nobody said.
    #[serde(default)]
    pub zone: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether requests may come to it.
    pub ready: bool,
    /// What it depends on, and what it says of itself.
    pub checks: Vec<HealthCheck>,
    /// Its latest errors.
    pub errors: Vec<HealthError>,
    /// Its metrics in the text format of Prometheus.
    pub metrics: String,
}
