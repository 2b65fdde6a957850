use std::sync::Arc;

use bookworm_contracts::commands::AuthorisePayment;
use bookworm_kernel::PaymentId;
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    domain::payment::{CANCELLED, Fact, Input, Payment},
    provider::{AuthoriseRequest, ProviderError, ProviderState},
    service::{Finance, Intent},
    store::payments::{self, Key, check_after},
};

/// Asks the provider for the money. Without an answer in time the message comes again, with the same idempotency key,
/// until somebody calls the payment off.
pub(super) async fn react(finance: &Arc<Finance>, message: Received<AuthorisePayment>) -> Reaction {
    let command = message.body.clone();
    let order = command.order_id;
    let input = Input::Authorise { amount: command.amount };
    let asked = match begin(finance, &message).await? {
        Intent::Ask(asked) => asked,
        Intent::Answer => return finance.conclude(&message, order, input).await,
        Intent::Absent | Intent::Wait => return Err(ReactionError::retry("the payment is not there yet")),
    };
    let payment = &asked.payment;
    let request = AuthoriseRequest {
        payment_id: payment.id,
        order_id: order,
        order_number: command.order_number,
        amount: payment.amount,
        token: command.token,
        return_path: command.return_path,
    };
    let seen = match finance.authorise(&asked.provider, &request).await {
        Ok(seen) => seen,
        // A request that the provider will not take, whatever the card: for the customer it is a refusal.
        Err(ProviderError::Refused(reason)) => crate::provider::ProviderPayment {
            reference: String::new(),
            state: ProviderState::Declined { reason },
            amount: payment.amount,
            captured: payment.captured,
            refunds: Vec::new(),
        },
        Err(error) => return Err(error.into()),
    };
    let (shared, cause) = (finance.clone(), message.cause);
    message
        .once::<_, ReactionError, _>(&finance.db, move |tx| {
            Box::pin(async move {
                let decision = shared.apply(tx, Key::Order(order), Input::Seen(seen), Some(&cause)).await?;
                // Called off while the provider was asked: the command gets its answer all the same.
                if let Some(decision) = decision
                    && decision.payment.void_requested
                    && !decision.facts.iter().any(|fact| matches!(fact, Fact::Declined(_)))
                {
                    shared.publish(tx, &cause, &decision.payment, &Fact::Declined(CANCELLED.to_owned())).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// Finds the order's payment, or makes it: from then on the provider may know of it.
async fn begin(finance: &Arc<Finance>, message: &Received<AuthorisePayment>) -> Result<Intent, ReactionError> {
    let (shared, cause) = (finance.clone(), message.cause);
    let (order, amount) = (message.body.order_id, message.body.amount);
    let intent = finance.db.transact::<_, ReactionError, _>(move |tx| {
        Box::pin(async move {
            let now = shared.now();
            let new = Payment::requested(PaymentId::new(), order, amount, now);
            let provider = shared.providers.for_new().name();
            payments::insert(tx, &new, provider, &cause, now.plus(check_after(0))).await?;
            match payments::lock(tx, Key::Order(order)).await? {
                Some(stored) => Ok(shared.intent_of(tx, &stored, Input::Authorise { amount }).await?),
                None => Ok(Intent::Absent),
            }
        })
    });
    intent.await
}
