use std::sync::Arc;

use bookworm_contracts::commands::VoidPayment;
use bookworm_kernel::{Currency, OrderId, PaymentId};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    domain::payment::{Fact, Input, Payment},
    service::{Finance, Intent, Outcome},
    store::payments::{self, Key, check_after},
};

/// A void that finds the money taken becomes a refund, which may find it half given back: then it looks once more.
const ROUNDS: usize = 3;

/// Voids the payment, or makes sure that none is authorised any more. Money that was taken already goes back in full.
pub(super) async fn react(finance: &Arc<Finance>, message: Received<VoidPayment>) -> Reaction {
    let order = message.body.order_id;
    for _ in 0..ROUNDS {
        match finance.intend(order, Input::Void).await? {
            Intent::Ask(asked) => match finance.perform(&asked.provider, &asked.payment, &asked.call).await? {
                Outcome::Done(outcome) => return finance.conclude(&message, order, outcome).await,
                Outcome::Again(outcome) => {
                    finance.record(Key::Order(order), outcome, Some(message.cause)).await?;
                }
            },
            Intent::Answer => return finance.conclude(&message, order, Input::Void).await,
            Intent::Wait => break,
            Intent::Absent => return leave_tombstone(finance, &message, order).await,
        }
    }
    Err(ReactionError::retry("the payment is under way"))
}

/// Leaves a tombstone, so that a later request for this order's money is refused without asking the provider.
async fn leave_tombstone(finance: &Arc<Finance>, message: &Received<VoidPayment>, order: OrderId) -> Reaction {
    let (shared, cause) = (finance.clone(), message.cause);
    message
        .once::<_, ReactionError, _>(&finance.db, move |tx| {
            Box::pin(async move {
                let now = shared.now();
                // ISO 4217's code for "no currency": the amount is not known.
                let currency = Currency::parse("XXX").map_err(|e| ReactionError::refuse(e.to_string()))?;
                let tombstone = Payment::tombstone(PaymentId::new(), order, currency, now);
                if !payments::insert(
                    tx,
                    &tombstone,
                    shared.providers.for_new().name(),
                    &cause,
                    now.plus(check_after(0)),
                )
                .await?
                {
                    return Err(ReactionError::retry("the payment was made meanwhile"));
                }
                shared.publish(tx, &cause, &tombstone, &Fact::Voided).await?;
                Ok(())
            })
        })
        .await?;
    Ok(())
}
