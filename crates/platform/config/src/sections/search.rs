use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// Searching the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// For how many milliseconds a search waits for the query's vector before it goes on with words alone: 1 to 10000.
    /// Default 300.
    pub meaning_timeout_ms: u64,
    /// How near a book must be to be offered when no book has the query's words: cosine similarity in percent, 0 to
    /// 100. Default 30.
    pub nearest_percent: u8,
}

impl Default for Search {
    fn default() -> Self {
        Self { meaning_timeout_ms: 300, nearest_percent: 30 }
    }
}

impl Validate for Search {
    fn validate(&self, v: &mut Validation) {
        v.range("meaning_timeout_ms", self.meaning_timeout_ms, 1..=10_000);
        v.range("nearest_percent", self.nearest_percent, 0..=100);
    }
}
