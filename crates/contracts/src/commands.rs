//! Commands: sent by the checkout saga to one service, answered by an event of that service.

use bookworm_kernel::{BookId, CustomerId, Money, OrderId, Quantity};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};

/// How many copies of which book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLine {
    /// The book.
    pub book_id: BookId,
    /// How many copies.
    pub quantity: Quantity,
}

message! {
    /// Reserve these copies for the order, all or none. Answered by `StockReserved` or `StockRejected`.
    "commands.catalog.ReserveStock.v1" ReserveStock {
        /// The order; also the reservation's id, so that a repeat changes nothing.
        pub order_id: OrderId,
        /// What to reserve; each book once.
        pub lines: Vec<StockLine>,
    }
}

message! {
    /// Release the reserved copies. Also for a reservation that was never made: a `ReserveStock` that arrives later is
    /// then refused. Answered by `StockReleased`.
    "commands.catalog.ReleaseStock.v1" ReleaseStock {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// Ask the payment provider for the money. Answered by `PaymentAuthorised`, `PaymentDeclined` or
    /// `PaymentActionRequired` (and later one of the other two).
    "commands.finance.AuthorisePayment.v1" AuthorisePayment {
        /// The order.
        pub order_id: OrderId,
        /// The order's number, for the customer's statement.
        pub order_number: String,
        /// Who pays, when they have an account.
        pub customer_id: Option<CustomerId>,
        /// How much.
        pub amount: Money,
        /// The provider's token for the customer's card.
        pub token: String,
        /// Path of the page to which the customer returns after confirming with their bank; the order's page. Empty
        /// when there is none.
        #[serde(default)]
        pub return_path: String,
    }
}

message! {
    /// Take the authorised money. Sent only for a confirmed order. Answered by `PaymentCaptured` or `PaymentFailed`.
    "commands.finance.CapturePayment.v1" CapturePayment {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// Let the authorisation go, or make sure none is given any more. Answered by `PaymentVoided`.
    "commands.finance.VoidPayment.v1" VoidPayment {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// Give captured money back. Answered by `PaymentRefunded` or `RefundFailed`.
    "commands.finance.RefundPayment.v1" RefundPayment {
        /// The order.
        pub order_id: OrderId,
        /// Distinguishes several partial refunds; a repeat of the same changes nothing.
        pub refund_id: uuid::Uuid,
        /// How much.
        pub amount: Money,
        /// Why, as staff wrote it.
        pub reason: String,
    }
}
