use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::ordering::{Order, ShipRequest};
use bookworm_http::{ApiPath, Origin, Result, Validator, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::OrderId;
use http::StatusCode;

use crate::{features::OptionalJson, service::Ordering, visitor::author};

/// Notes that the parcel left
///
/// For staff. The order must be confirmed and its payment captured (`invalid_order_state`).
#[utoipa::path(
    post, path = "/orders/{id}/ship", tag = "ordering", request_body = ShipRequest,
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The shipped order", body = Order), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn ship_order(
    State(service): State<Arc<Ordering>>,
    ApiPath(id): ApiPath<OrderId>,
    StaffOnly(staff): StaffOnly,
    Origin(cause): Origin,
    OptionalJson(request): OptionalJson<ShipRequest>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let tracking = valid.optional_text("/tracking", request.tracking.as_deref(), 1..=100);
    valid.finish()?;
    let order = service.command(cause, author(&staff), id, Arc::new(move |order| order.ship(tracking.clone()))).await?;
    Ok(super::answer(StatusCode::OK, order))
}
