use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::ordering::Order;
use bookworm_http::{Origin, Problem, Result, openapi::ProblemResponses};
use http::StatusCode;

use crate::{service::Ordering, shopper::Shopper};

/// The order that is being made of the basket
///
/// One basket becomes one order: while this one is not decided, checking out again is refused with `order_in_progress`.
/// It may wait for its customer to confirm the payment (`payment.action_url`). To check out again instead, cancel it
/// first, with `only_unconfirmed`. `not_found` when no order of the basket is under way. `access_key` is there when the
/// order can be read with it alone.
#[utoipa::path(
    get, path = "/orders/under-way", tag = "ordering",
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 200, description = "The order", body = Order), ProblemResponses)
)]
pub(crate) async fn order_under_way(
    State(service): State<Arc<Ordering>>,
    Origin(cause): Origin,
    shopper: Result<Shopper>,
) -> Result<Response> {
    let found = match shopper {
        Ok(shopper) => service.under_way(&cause, &shopper).await?,
        Err(problem) if problem.status() == StatusCode::CONFLICT => None,
        Err(problem) => return Err(problem),
    };
    let found = found.ok_or_else(|| Problem::not_found("order").detail("No order of this basket is under way."))?;
    let order = Order { access_key: found.access_key, ..found.order.into() };
    Ok(super::answer(StatusCode::OK, order))
}
