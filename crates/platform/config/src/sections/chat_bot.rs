use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// The chat's bot. The model that understands messages, and the one that writes, are set in the section `ai`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatBot {
    /// For how many milliseconds the bot waits for one look-up before it says that it cannot look: 50 to 10000. Default
    /// 400.
    pub lookup_timeout_ms: u64,
}

impl Default for ChatBot {
    fn default() -> Self {
        Self { lookup_timeout_ms: 400 }
    }
}

impl Validate for ChatBot {
    fn validate(&self, v: &mut Validation) {
        v.range("lookup_timeout_ms", self.lookup_timeout_ms, 50..=10_000);
    }
}
