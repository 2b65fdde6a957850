use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::validate::{Validate, Validation};

/// Reviews, and asking for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rating {
    /// How many days after an order is complete its buyer is asked for a review: 0 to 365; 0 is at once. Left out: 0
    /// with the demonstration catalogue, 7 without.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "days")]
    pub invite_after_days: Option<u32>,
    /// For how many days the links of such a mail take reviews: 1 to 365. Default 60.
    pub invitation_valid_days: u32,
}

/// Variables and options come as texts where no default says what is meant.
fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Days {
        Number(u32),
        Text(String),
    }
    match Days::deserialize(deserializer) {
        Ok(Days::Number(number)) => Ok(Some(number)),
        Ok(Days::Text(text)) if text.trim().parse::<u32>().is_ok() => Ok(text.trim().parse().ok()),
        _ => Err(D::Error::custom("must be a whole number, 0 to 365")),
    }
}

impl Rating {
    /// Days after a completed order, where nothing is set and there is no demonstration.
    pub(crate) const DAYS: u32 = 7;
}

impl Default for Rating {
    fn default() -> Self {
        Self { invite_after_days: None, invitation_valid_days: 60 }
    }
}

impl Validate for Rating {
    fn validate(&self, v: &mut Validation) {
        v.range("invite_after_days", self.invite_after_days.unwrap_or_default(), 0..=365);
        v.range("invitation_valid_days", self.invitation_valid_days, 1..=365);
    }
}
