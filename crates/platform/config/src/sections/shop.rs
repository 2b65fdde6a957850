use bookworm_kernel::Currency;
use serde::{Deserialize, Serialize};

/// What applies to the shop as a whole, whichever roles a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shop {
    /// The shop's currency, ISO 4217. Every price is in it. Default `USD`. Also accepted under its earlier key,
    /// `ordering.currency`.
    pub currency: Currency,
}

impl Default for Shop {
    fn default() -> Self {
        Self { currency: Currency::USD }
    }
}
