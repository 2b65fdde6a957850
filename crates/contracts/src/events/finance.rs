//! Events that finance publishes.

use bookworm_kernel::{Money, OrderId, PaymentId};
use bookworm_messaging::message;

message! {
    /// The provider has reserved the money for us.
    "events.finance.PaymentAuthorised.v1" PaymentAuthorised {
        /// The order.
        pub order_id: OrderId,
        /// The payment.
        pub payment_id: PaymentId,
        /// How much.
        pub amount: Money,
    }
}

message! {
    /// The provider refused, for good.
    "events.finance.PaymentDeclined.v1" PaymentDeclined {
        /// The order.
        pub order_id: OrderId,
        /// What the customer may know.
        pub reason: String,
    }
}

message! {
    /// The customer must confirm with their bank (3-D Secure) before the provider decides.
    "events.finance.PaymentActionRequired.v1" PaymentActionRequired {
        /// The order.
        pub order_id: OrderId,
        /// Where the customer confirms.
        pub action_url: String,
    }
}

message! {
    /// No money is reserved and none will be.
    "events.finance.PaymentVoided.v1" PaymentVoided {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// The money is ours.
    "events.finance.PaymentCaptured.v1" PaymentCaptured {
        /// The order.
        pub order_id: OrderId,
        /// The payment.
        pub payment_id: PaymentId,
        /// How much.
        pub amount: Money,
    }
}

message! {
    /// The provider refused to capture what it had authorised.
    "events.finance.PaymentFailed.v1" PaymentFailed {
        /// The order.
        pub order_id: OrderId,
        /// What staff should know.
        pub reason: String,
    }
}

message! {
    /// The customer has this much back.
    "events.finance.PaymentRefunded.v1" PaymentRefunded {
        /// The order.
        pub order_id: OrderId,
        /// The refund.
        pub refund_id: uuid::Uuid,
        /// How much.
        pub amount: Money,
    }
}

message! {
    /// The provider refused the refund.
    "events.finance.RefundFailed.v1" RefundFailed {
        /// The order.
        pub order_id: OrderId,
        /// The refund.
        pub refund_id: uuid::Uuid,
        /// What staff should know.
        pub reason: String,
    }
}
