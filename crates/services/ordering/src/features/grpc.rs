use bookworm_contracts::grpc::ordering::{
    LatestOrdersRequest, LatestOrdersResponse, OrderInShort, ordering_server::Ordering,
};
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::FieldError;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    OrderingService,
    store::{
        document::Document,
        orders::{self, Filter},
    },
};

/// The most orders in one answer.
const MOST: usize = 50;

/// Answers other services.
#[derive(Debug)]
pub(crate) struct Server(pub OrderingService);

#[async_trait]
impl Ordering for Server {
    async fn latest_orders(
        &self,
        request: Request<LatestOrdersRequest>,
    ) -> Result<Response<LatestOrdersResponse>, Status> {
        let LatestOrdersRequest { customer_id, limit } = request.into_inner();
        let customer_id = Some(customer_id.parse().map_err(|_| invalid("/customer_id", "must be a UUID"))?);
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=MOST).contains(limit));
        let limit = limit.ok_or_else(|| invalid("/limit", "must be 1 to 50"))?;
        let filter = Filter { customer_id, ..Filter::default() };
        let found = orders::list(self.0.0.db.read(), &filter, None, limit).await;
        let found = found.map_err(|error| to_status(&error.into()))?;
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
