//! Calls to other services: baskets, orders, and the admission of mails.

use std::time::Duration;

use bookworm_contracts::{
    grpc::{
        self, Edge,
        basket::{GetBasketRequest, basket_client::BasketClient, get_basket_request::Owner},
        notification::{AdmitRequest, mailroom_client::MailroomClient},
        ordering::{LatestOrdersRequest, OrderInShort, ordering_client::OrderingClient},
    },
    rest::chat::{ContextLine, ContextOrder},
};
use bookworm_http::Problem;
use bookworm_kernel::{Cause, Currency, CustomerId, Email, ErrorCode, Money, Timestamp};
use tonic::{Response, Status};

/// Other services.
#[derive(Clone)]
pub struct Clients {
    /// Baskets.
    pub basket: BasketClient<Edge>,
    /// Orders.
    pub ordering: OrderingClient<Edge>,
    /// Admits mails.
    pub mail: MailroomClient<Edge>,
}

impl Clients {
    /// Asks whether a mail of this kind may be sent. An admitted mail counts against the limits.
    ///
    /// # Errors
    /// 429 with the time to wait when there were too many, 503 when the service does not answer.
    pub(crate) async fn admit_mail(&self, kind: &str, sender: &str, to: &Email, proven: bool) -> Result<(), Problem> {
        let request = AdmitRequest {
            kind: kind.to_owned(),
            sender: sender.to_owned(),
            recipient: to.as_str().to_owned(),
            proven,
        };
        let answer = self.mail.clone().admit(grpc::request(&Cause::start(), request)).await;
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

    /// A customer's latest orders, at most `limit`; `None` when the service does not answer.
    pub(crate) async fn latest_orders(
        &self,
        customer: CustomerId,
        limit: u32,
        cause: &Cause,
    ) -> Option<Vec<ContextOrder>> {
        let request = LatestOrdersRequest { customer_id: customer.to_string(), limit };
        let answer = self.ordering.clone().latest_orders(grpc::request(cause, request)).await;
        let answer = count_failure("ordering", answer)?;
        Some(answer.orders.into_iter().filter_map(order).collect())
    }

    /// The lines of a customer's basket; `None` when the service does not answer.
    pub(crate) async fn basket_lines(&self, customer: CustomerId, cause: &Cause) -> Option<Vec<ContextLine>> {
        let request = GetBasketRequest { owner: Some(Owner::CustomerId(customer.to_string())) };
        let answer = self.basket.clone().get_basket(grpc::request(cause, request)).await;
        let answer = count_failure("basket", answer)?;
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

/// The answer; a failure is counted.
fn count_failure<T>(service: &'static str, answer: Result<Response<T>, Status>) -> Option<T> {
    answer
        .inspect_err(|_| metrics::counter!("chat_calls_failed_total", "service" => service).increment(1))
        .ok()
        .map(Response::into_inner)
}
