use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::finance::Payment;
use bookworm_http::{ApiJson, ApiPath, Problem, Result, auth::StaffOnly};
use bookworm_kernel::OrderId;

use super::list_payments::shown;
use crate::{
    service::Finance,
    store::payments::{self, Key},
};

/// The payment of an order. Staff.
#[utoipa::path(
    get,
    path = "/admin/payments/{order_id}",
    tag = "finance",
    params(("order_id" = OrderId, Path, description = "The order.")),
    responses(
        (status = 200, description = "The payment.", body = Payment),
        (status = 404, description = "`not_found`", body = bookworm_http::ProblemBody)
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn get_payment(
    State(finance): State<Arc<Finance>>,
    _staff: StaffOnly,
    ApiPath(order): ApiPath<OrderId>,
) -> Result<ApiJson<Payment>> {
    let stored = payments::find(finance.db.read(), Key::Order(order)).await?;
    stored.map(|stored| ApiJson(shown(stored))).ok_or_else(|| Problem::not_found("payment"))
}
