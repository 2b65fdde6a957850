use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// Baskets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Basket {
    /// After how many days without a change a guest's basket is forgotten: 1 to 365. Default 30.
    pub guest_days: u32,
    /// How many different books fit into one basket: 1 to 1000. Default 100.
    pub max_lines: u32,
}

impl Default for Basket {
    fn default() -> Self {
        Self { guest_days: 30, max_lines: 100 }
    }
}

impl Validate for Basket {
    fn validate(&self, v: &mut Validation) {
        v.range("guest_days", self.guest_days, 1..=365);
        v.range("max_lines", self.max_lines, 1..=1000);
    }
}
