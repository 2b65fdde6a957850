use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// What the monitor sees of the shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitor {
    /// How much memory the history of two hours takes at most in each process with the role, in MiB: 4 to 1,024. Default 32.
    pub history_mib: u32,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { history_mib: 32 }
    }
}

impl Validate for Monitor {
    fn validate(&self, v: &mut Validation) {
        v.range("history_mib", self.history_mib, 4..=1024);
    }
}
