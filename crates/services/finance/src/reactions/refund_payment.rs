use std::sync::Arc;

use bookworm_contracts::{commands::RefundPayment, events::finance::RefundFailed};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    domain::payment::Input,
    service::{Finance, Intent, Outcome},
};

/// Gives captured money back, once for each refund's id.
pub(super) async fn react(finance: &Arc<Finance>, message: Received<RefundPayment>) -> Reaction {
    let RefundPayment { order_id: order, refund_id, amount, reason } = message.body.clone();
    let input = Input::Refund { id: refund_id, amount, reason };
    match finance.intend(order, input.clone()).await? {
        Intent::Ask(asked) => match finance.perform(&asked.provider, &asked.payment, &asked.call).await? {
            Outcome::Done(outcome) | Outcome::Again(outcome) => finance.conclude(&message, order, outcome).await,
        },
        Intent::Answer => finance.conclude(&message, order, input).await,
        Intent::Wait => Err(ReactionError::retry("the payment is still being captured")),
        Intent::Absent => {
            let (shared, cause) = (finance.clone(), message.cause);
            message
                .once::<_, ReactionError, _>(&finance.db, move |tx| {
                    Box::pin(async move {
                        let reason = "the order has no payment".to_owned();
                        shared.outbox.put(tx, &cause, &RefundFailed { order_id: order, refund_id, reason }).await?;
                        Ok(())
                    })
                })
                .await?;
            Ok(())
        }
    }
}
