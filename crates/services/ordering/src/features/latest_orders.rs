use bookworm_db::DbError;
use bookworm_kernel::CustomerId;

use crate::{
    service::Ordering,
    store::{
        document::Document,
        orders::{self, Filter},
    },
};

/// A customer's latest orders, the newest first.
pub(crate) async fn latest_orders(
    service: &Ordering,
    customer: CustomerId,
    limit: usize,
) -> Result<Vec<Document>, DbError> {
    let filter = Filter { customer_id: Some(customer), ..Filter::default() };
    orders::list(service.db.read(), &filter, None, limit).await
}
