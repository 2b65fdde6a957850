use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// How log lines look. Default `pretty`.
    pub log_format: LogFormat,
    /// Which lines are written: a level, or levels for each module such as `info,bookworm_ordering=debug`. Default
    /// `info`.
    pub log_filter: String,
    /// What a scraper of another machine sends as `Authorization: Bearer ...` to read `/metrics`: 16 to 255 visible
    /// characters. Left out: only this machine itself may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_token: Option<Secret>,
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
        Self { log_format: LogFormat::Pretty, log_filter: "info".to_owned(), metrics_token: None }
    }
}

impl Validate for Telemetry {
    fn validate(&self, v: &mut Validation) {
        v.check("log_filter", !self.log_filter.trim().is_empty(), "must not be empty; `off` writes nothing");
        if let Some(token) = &self.metrics_token {
            let token = token.expose();
            let valid = (16..=255).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
            v.check("metrics_token", valid, "must be 16 to 255 visible ASCII characters");
        }
    }
}
