use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::ordering::Order as Shown;
use bookworm_http::{ApiPath, Origin, Result, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::OrderId;
use http::StatusCode;

use crate::{domain::order::Order, service::Ordering, visitor::author};

/// Notes that the customer has the books
///
/// For staff. The order must be shipped (`invalid_order_state`). The copies leave the inventory, and the customer is
/// invited to rate them.
#[utoipa::path(
    post, path = "/orders/{id}/complete", tag = "ordering",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The completed order", body = Shown), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn complete_order(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    StaffOnly(staff): StaffOnly,
    Origin(cause): Origin,
) -> Result<Response> {
    let order = service.command(cause, author(&staff), id, Arc::new(Order::complete)).await?;
    Ok(super::answer(StatusCode::OK, order))
}
