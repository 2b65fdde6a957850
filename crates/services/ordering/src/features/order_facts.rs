use std::sync::Arc;

use bookworm_contracts::rest::ordering::{OrderStatus, PaymentStatus};
use bookworm_db::DbError;
use bookworm_kernel::{Money, OrderId};

use super::shown;
use crate::{domain::order::Order, service::Ordering};

/// What reconciliation compares with payments, stock and ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// The order.
    pub order_id: OrderId,
    /// The number people read out.
    pub number: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// Whether the contract ever stood, also when it was called off later.
    pub confirmed: bool,
    /// What the customer pays.
    pub total: Money,
    /// Where the payment stands, as far as ordering knows.
    pub payment: PaymentStatus,
    /// Captured, as far as ordering knows.
    pub captured: Money,
    /// Given back, as far as ordering knows.
    pub refunded: Money,
    /// The code of the coupon that was used.
    pub coupon: Option<String>,
}

/// Folds every order from its events: the projection may be what is wrong.
pub(crate) async fn order_facts(service: &Arc<Ordering>) -> Result<Vec<OrderFacts>, DbError> {
    let mut facts = Vec::new();
    bookworm_eventstore::replay::<Order, _>(&service.db, async |_, loaded| {
        facts.extend(of(&loaded.state));
        Ok(())
    })
    .await?;
    Ok(facts)
}

fn of(order: &Order) -> Option<OrderFacts> {
    let placed = order.placement()?;
    let money = |amount| Money::new(amount, placed.total.currency);
    Some(OrderFacts {
        order_id: placed.order_id,
        number: placed.number.to_string(),
        status: shown::status(order.status()),
        confirmed: order.was_confirmed(),
        total: placed.total,
        payment: shown::payment_status(order.payment()),
        captured: money(order.captured()),
        refunded: money(order.refunded()),
        coupon: placed.coupon.as_ref().map(|coupon| coupon.code.to_string()),
    })
}
