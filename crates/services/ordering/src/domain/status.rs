use serde::{Deserialize, Serialize};

/// Where an order stands. Stored by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Stock and payment are being checked.
    Pending,
    /// The contract stands.
    Confirmed,
    /// The parcel is on its way.
    Shipped,
    /// Delivered.
    Completed,
    /// Called off before it was shipped.
    Cancelled,
    /// Could not be confirmed.
    Rejected,
    /// All the money went back.
    Refunded,
}

impl OrderStatus {
    /// The stable name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Refunded => "refunded",
        }
    }
}

/// Where an order's payment stands, as ordering knows it. Stored by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Not asked yet, or no answer yet.
    Pending,
    /// The customer must confirm with their bank.
    ActionRequired,
    /// The provider has set the money aside for us.
    Authorised,
    /// The money is ours.
    Captured,
    /// The provider refused.
    Declined,
    /// Let go before anything was taken.
    Voided,
    /// Part of it was given back.
    PartiallyRefunded,
    /// All of it was given back.
    Refunded,
    /// The order costs nothing, so there is nothing to pay.
    NotRequired,
    /// The provider refused to capture what it had authorised; staff must look.
    Failed,
}
