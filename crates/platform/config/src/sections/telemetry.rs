use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// How log lines look. Default `pretty`.
    pub log_format: LogFormat,
    /// Which lines are written: a level, or levels for each module such as `info,bookworm_ordering=debug`. Default
    /// `info`.
    pub log_filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object on each line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log_format: LogFormat::Pretty, log_filter: "info".to_owned() }
    }
}

impl Validate for Telemetry {
    fn validate(&self, v: &mut Validation) {
        v.check("log_filter", !self.log_filter.trim().is_empty(), "must not be empty; `off` writes nothing");
    }
}
