//! What an agent sees beside a conversation: the customer's orders and basket.

use bookworm_contracts::rest::chat::CustomerContext;
use bookworm_kernel::Cause;

use super::Chat;
use crate::domain::conversation::Conversation;

/// The most orders that are shown.
const MAX_ORDERS: u32 = 10;

impl Chat {
    /// What is known of a conversation's customer. A service that does not answer is named in `unavailable`; it is no
    /// error, since the agent can answer without it.
    pub(crate) async fn context_of(&self, conversation: &Conversation, cause: &Cause) -> CustomerContext {
        let hand_over_reason = conversation.hand_over_reason.map(|reason| reason.name().to_owned());
        let mut context = CustomerContext { hand_over_reason, ..CustomerContext::default() };
        let Some(customer) = conversation.customer.id else { return context };
        let (orders, basket) = tokio::join!(
            self.clients.latest_orders(customer, MAX_ORDERS, cause),
            self.clients.basket_lines(customer, cause)
        );
        match orders {
            Some(orders) => context.orders = orders,
            None => context.unavailable.push("orders".to_owned()),
        }
        match basket {
            Some(basket) => context.basket = basket,
            None => context.unavailable.push("basket".to_owned()),
        }
        context
    }
}
