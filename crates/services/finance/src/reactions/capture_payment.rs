use std::sync::Arc;

use bookworm_contracts::{commands::CapturePayment, events::finance::PaymentFailed};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    domain::payment::Input,
    service::{Finance, Intent, Outcome},
};

/// Takes the authorised money. A repeat changes nothing.
pub(super) async fn react(finance: &Arc<Finance>, message: Received<CapturePayment>) -> Reaction {
    let order = message.body.order_id;
    match finance.intend(order, Input::Capture).await? {
        Intent::Ask(asked) => match finance.perform(&asked.provider, &asked.payment, &asked.call).await? {
            Outcome::Done(outcome) | Outcome::Again(outcome) => finance.conclude(&message, order, outcome).await,
        },
        Intent::Answer => finance.conclude(&message, order, Input::Capture).await,
        Intent::Wait => Err(ReactionError::retry("the payment is under way")),
        Intent::Absent => {
            let (shared, cause) = (finance.clone(), message.cause);
            message
                .once::<_, ReactionError, _>(&finance.db, move |tx| {
                    Box::pin(async move {
                        let reason = "the order has no payment".to_owned();
                        shared.outbox.put(tx, &cause, &PaymentFailed { order_id: order, reason }).await?;
                        Ok(())
                    })
                })
                .await?;
            Ok(())
        }
    }
}
