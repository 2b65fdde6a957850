//! What an agent sees beside a conversation: the customer's orders and basket, asked of the roles that have them.

use std::time::Duration;

use bookworm_contracts::{
    grpc::{
        self, Edge,
        basket::{GetBasketRequest, basket_client::BasketClient, get_basket_request::Owner},
        notification::{AdmitRequest, mailroom_client::MailroomClient},
        ordering::{LatestOrdersRequest, OrderInShort, ordering_client::OrderingClient},
    },
    rest::chat::{ContextLine, ContextOrder, CustomerContext},
};
use bookworm_http::Problem;
use bookworm_kernel::{Cause, Currency, CustomerId, Email, ErrorCode, Money, Timestamp};
use tonic::{Response, Status};

use crate::{Chat, domain::conversation::Conversation};

/// How many orders are shown.
const ORDERS: u32 = 10;

/// Other services.
#[derive(Clone)]
pub struct Clients {
    /// Baskets.
    pub basket: BasketClient<Edge>,
    /// Orders.
    pub ordering: OrderingClient<Edge>,
    /// Leave to cause mails.
    pub mail: MailroomClient<Edge>,
}

impl Chat {
    /// Asks whether a mail of this kind may be sent; a yes counts.
    ///
    /// # Errors
    /// 429 with the time to wait when there were too many, 503 when nobody can be asked.
    pub(crate) async fn may_mail(&self, kind: &str, sender: &str, to: &Email, proven: bool) -> Result<(), Problem> {
        let request = AdmitRequest {
            kind: kind.to_owned(),
            sender: sender.to_owned(),
            recipient: to.as_str().to_owned(),
            proven,
        };
        let answer = self.clients.mail.clone().admit(grpc::request(&Cause::start(), request)).await;
        let unavailable = |_| Problem::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(5));
        let answer = answer.map_err(unavailable)?.into_inner();
        if answer.granted {
            return Ok(());
        }
        let minutes = answer.wait_seconds.div_ceil(60);
        Err(Problem::new(ErrorCode::TooManyRequests)
            .detail(format!("Too many e-mails were sent. Please try again in {minutes} minutes."))
            .retry_after(Duration::from_secs(answer.wait_seconds)))
    }
}

impl Chat {
    /// What is known of a conversation's customer. What cannot be asked just now is named, never an error: the agent
    /// can answer without it.
    pub(crate) async fn context_of(&self, conversation: &Conversation, cause: &Cause) -> CustomerContext {
        let hand_over_reason = conversation
            .hand_over_reason
            .and_then(|reason| Some(serde_json::to_value(reason).ok()?.as_str()?.to_owned()));
        let mut context = CustomerContext { hand_over_reason, ..CustomerContext::default() };
        let Some(customer) = conversation.customer.id else { return context };
        let (orders, basket) = tokio::join!(self.orders(customer, cause), self.basket(customer, cause));
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

    async fn orders(&self, customer: CustomerId, cause: &Cause) -> Option<Vec<ContextOrder>> {
        let question = LatestOrdersRequest { customer_id: customer.to_string(), limit: ORDERS };
        let answer = self.clients.ordering.clone().latest_orders(grpc::request(cause, question)).await;
        let answer = answered("ordering", answer)?;
        Some(answer.orders.into_iter().filter_map(order).collect())
    }

    async fn basket(&self, customer: CustomerId, cause: &Cause) -> Option<Vec<ContextLine>> {
        let question = GetBasketRequest { owner: Some(Owner::CustomerId(customer.to_string())) };
        let answer = self.clients.basket.clone().get_basket(grpc::request(cause, question)).await;
        let answer = answered("basket", answer)?;
        let line = |line: grpc::basket::Line| ContextLine { title: line.seen_title, quantity: line.quantity };
        Some(answer.lines.into_iter().map(line).collect())
    }
}

fn order(order: OrderInShort) -> Option<ContextOrder> {
    Some(ContextOrder {
        id: order.id.parse().ok()?,
        number: order.number,
        status: serde_json::from_value(order.status.into()).ok()?,
        total: Money::new(order.total, Currency::parse(&order.currency).ok()?),
        titles: order.titles,
        placed_at: Timestamp::from_micros(order.placed_at),
    })
}

/// The answer, if there is one; else it is counted.
fn answered<T>(who: &'static str, answer: Result<Response<T>, Status>) -> Option<T> {
    answer
        .inspect_err(|_| metrics::counter!("chat_calls_failed_total", "service" => who).increment(1))
        .ok()
        .map(Response::into_inner)
}
