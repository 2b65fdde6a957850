//! Money as staff see it.

use bookworm_kernel::{Money, OrderId, PaymentId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ordering::PaymentStatus;

/// A payment. `GET /admin/payments`, `GET /admin/payments/{order_id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// The payment.
    pub id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// Where it stands.
    pub status: PaymentStatus,
    /// How much was asked for.
    pub amount: Money,
    /// How much we took.
    pub captured: Money,
    /// How much we gave back.
    pub refunded: Money,
    /// The provider's name.
    pub provider: String,
    /// The provider's own id.
    pub provider_reference: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An account of the ledger and its balance. `GET /admin/ledger`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerBalance {
    /// The account, e.g. `provider_clearing`.
    pub account: String,
    /// Debits less credits.
    pub balance: Money,
}

/// `GET /admin/reconciliation`: differences between orders, payments and the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReconciliationReport {
    /// When it was made.
    pub at: Timestamp,
    /// Orders looked at.
    pub orders: i64,
    /// Payments looked at.
    pub payments: i64,
    /// Ledger transactions looked at.
    pub transactions: i64,
    /// What does not agree; empty when all is well.
    pub differences: Vec<Difference>,
}

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Stable name, e.g. `captured_without_confirmed_order`.
    pub kind: String,
    /// The order, when there is one.
    pub order_id: Option<OrderId>,
    /// For people.
    pub detail: String,
}
