//! What finance records of orders, to compare it with payments; and the moment at which money becomes income.

use std::sync::Arc;

use bookworm_contracts::events::ordering::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderCreated, OrderRefunded, OrderRejected, OrderShipped,
    OrderSummary,
};
use bookworm_db::DbError;
use bookworm_messaging::{Message, Reaction, Received};

use crate::{
    domain::{ledger::LedgerTransaction, payment::Input, reconciliation::OrderStatus},
    service::Finance,
    store::{ledger, order_facts, payments::Key},
};

async fn note<M: Message>(
    finance: &Arc<Finance>,
    message: &Received<M>,
    order: &OrderSummary,
    status: OrderStatus,
    refunded: i64,
) -> Reaction {
    let (shared, cause) = (finance.clone(), message.cause);
    let (id, total, discount) = (order.order_id, order.total, order.discount);
    message
        .once::<_, DbError, _>(&finance.db, move |tx| {
            Box::pin(async move {
                order_facts::note(tx, id, status, total, refunded, shared.now()).await?;
                if status == OrderStatus::Completed {
                    let delivered = shared.apply(tx, Key::Order(id), Input::Delivered, Some(&cause)).await?;
                    // Without a payment there is no income of which something was taken off.
                    if let Some((delivered, discount)) = delivered.zip(discount)
                        && discount.amount > 0
                        && !ledger::has_discount(tx, id.uuid()).await?
                    {
                        let transaction = LedgerTransaction::discount(id.uuid(), discount)
                            .map_err(|error| DbError::Corrupt(format!("the discount of order {id}: {error}")))?;
                        ledger::book(tx, delivered.payment.id, &transaction, shared.now()).await?;
                    }
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

pub(super) async fn created(finance: &Arc<Finance>, message: Received<OrderCreated>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Pending, 0).await
}

pub(super) async fn confirmed(finance: &Arc<Finance>, message: Received<OrderConfirmed>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Confirmed, 0).await
}

pub(super) async fn rejected(finance: &Arc<Finance>, message: Received<OrderRejected>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Rejected, 0).await
}

pub(super) async fn cancelled(finance: &Arc<Finance>, message: Received<OrderCancelled>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Cancelled, 0).await
}

pub(super) async fn shipped(finance: &Arc<Finance>, message: Received<OrderShipped>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Shipped, 0).await
}

pub(super) async fn completed(finance: &Arc<Finance>, message: Received<OrderCompleted>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Completed, 0).await
}

/// Part of the money or all of it went back; this event does not state where the order stands.
pub(super) async fn refunded(finance: &Arc<Finance>, message: Received<OrderRefunded>) -> Reaction {
    note(finance, &message, &message.body.order, OrderStatus::Confirmed, message.body.amount.amount).await
}
