//! One use case, one file.

pub(crate) mod follow_up;
pub(crate) mod get_payment;
pub(crate) mod ledger_balances;
pub(crate) mod list_payments;
pub(crate) mod payment_methods;
pub(crate) mod receive_webhook;
pub(crate) mod reconcile;
