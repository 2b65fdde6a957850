//! What other services ask.

use std::sync::Arc;

use bookworm_contracts::grpc::ordering::{LatestOrdersRequest, LatestOrdersResponse, OrderInShort, ordering_server};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::FieldError;
use tonic::{Request, Response, Status, async_trait};

use crate::{features::latest_orders::latest_orders, service::Ordering, store::document::Document};

/// The most orders in one answer.
const MOST: usize = 50;

/// Reads requests and writes answers; the work is done by `features`.
#[derive(Debug)]
pub(crate) struct Server(pub Arc<Ordering>);

#[async_trait]
impl ordering_server::Ordering for Server {
    async fn latest_orders(
        &self,
        request: Request<LatestOrdersRequest>,
    ) -> Result<Response<LatestOrdersResponse>, Status> {
        let LatestOrdersRequest { customer_id, limit } = request.into_inner();
        let customer = customer_id.parse().map_err(|_| invalid("/customer_id", "must be a UUID"))?;
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=MOST).contains(limit));
        let limit = limit.ok_or_else(|| invalid("/limit", "must be 1 to 50"))?;
        let found = latest_orders(&self.0, customer, limit).await.map_err(|error| to_status(&error.into()))?;
        Ok(Response::new(LatestOrdersResponse { orders: found.into_iter().map(in_short).collect() }))
    }
}

fn in_short(order: Document) -> OrderInShort {
    OrderInShort {
        id: order.id.to_string(),
        number: order.number,
        status: order.status.as_str().to_owned(),
        total: order.total.amount,
        currency: order.total.currency.code().to_owned(),
        titles: order.lines.into_iter().map(|line| line.title).collect(),
        placed_at: order.placed_at.micros(),
    }
}

fn invalid(field: &str, message: &str) -> Status {
    to_status(&Problem::validation(vec![FieldError::new(field, message)]))
}
