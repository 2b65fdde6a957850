//! One basket, one order.
//!
//! A checkout claims its basket before it places its order, and the basket grants one claim at a time. The claim ends
//! with the order: its confirmation takes the copies out of the basket and ends the claim in one unit of work; its
//! rejection, or a cancellation before it was confirmed, ends the claim and leaves the copies. So whoever finds the
//! basket free finds in it only what no other order has.
//!
//! A claim whose order was never placed, because the program was killed in between, ends only after a tombstone has
//! made sure that the order never will be. [`judge`] decides what stands against a checkout; `harness` tries every
//! interleaving.

use std::time::Duration;

use super::status::OrderStatus;

/// How long an order may take from the basket's claim to being placed, before somebody else may write its tombstone. It
/// takes milliseconds; a request that is slower loses its claim and asks for another, so a value that is too short
/// costs a retry and nothing else.
pub const GRACE: Duration = Duration::from_secs(10);

/// What is known of the order that has claimed a basket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimingOrder {
    /// It was placed, and is neither confirmed nor off.
    Undecided,
    /// It was confirmed; what it bought is about to leave the basket.
    Bought,
    /// It is off, and never was confirmed.
    Off,
    /// It was never placed and never can be.
    Tombstone,
    /// There is no such order, yet.
    Unknown {
        /// How old the claim is.
        age: Duration,
    },
}

impl ClaimingOrder {
    /// Of an order that was placed, and whether it ever was confirmed.
    #[must_use]
    pub fn placed(status: OrderStatus, confirmed: bool) -> Self {
        match status {
            OrderStatus::Pending => Self::Undecided,
            _ if confirmed => Self::Bought,
            OrderStatus::Rejected | OrderStatus::Cancelled => Self::Off,
            OrderStatus::Confirmed | OrderStatus::Shipped | OrderStatus::Completed | OrderStatus::Refunded => {
                Self::Bought
            }
        }
    }
}

/// What to do about a claim that stands against a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Refuse the checkout: that order has the basket.
    Refuse,
    /// End the claim: that order is off for good.
    Release,
    /// Write a tombstone, so that the order can never be placed, and end the claim then.
    WriteTombstone,
    /// Look again in a moment: the order is about to be placed.
    Wait,
}

/// Decides about a claim.
#[must_use]
pub fn judge(order: ClaimingOrder) -> Verdict {
    match order {
        ClaimingOrder::Undecided | ClaimingOrder::Bought => Verdict::Refuse,
        ClaimingOrder::Off | ClaimingOrder::Tombstone => Verdict::Release,
        ClaimingOrder::Unknown { age } if age > GRACE => Verdict::WriteTombstone,
        ClaimingOrder::Unknown { .. } => Verdict::Wait,
    }
}

#[cfg(test)]
mod harness;
