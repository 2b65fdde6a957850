use bookworm_kernel::TimeZone;
use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Validation};

/// The storefront.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// The shop's name on every page and in every mail: 1 to 60 characters. Default `BookWorm`.
    pub shop_name: String,
    /// The place whose clocks the shop goes by, by its IANA name, such as `Europe/Berlin`: dates and times on pages, in
    /// mails and in the chat are its. Default `UTC`.
    pub time_zone: TimeZone,
}

impl Default for Web {
    fn default() -> Self {
        Self { shop_name: "BookWorm".to_owned(), time_zone: TimeZone::UTC }
    }
}

impl Validate for Web {
    fn validate(&self, v: &mut Validation) {
        let length = self.shop_name.trim().chars().count();
        let valid = (1..=60).contains(&length) && !self.shop_name.chars().any(char::is_control);
        v.check("shop_name", valid, "must be 1 to 60 characters, without control characters");
    }
}
