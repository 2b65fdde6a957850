use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::coupons::Coupon;
use bookworm_http::{ApiJson, ApiPath, Problem, Result, auth::StaffOnly, openapi::ProblemResponses};

use super::shown;
use crate::{
    domain::coupon::CouponCode,
    service::Ordering,
    store::coupons::{self, Stored},
};

/// A coupon
///
/// For staff.
#[utoipa::path(
    get, path = "/admin/coupons/{code}", tag = "ordering",
    params(("code" = String, Path, description = "Its code; case does not matter")),
    responses((status = 200, description = "The coupon", body = Coupon), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn get_coupon(
    State(service): State<Arc<Ordering>>,
    ApiPath(code): ApiPath<String>,
    _staff: StaffOnly,
) -> Result<ApiJson<Coupon>> {
    let stored = find(&service, &code).await?;
    Ok(ApiJson(shown::stored_coupon(stored)))
}

/// 404 when there is none with this code.
pub(super) async fn find(service: &Ordering, code: &str) -> Result<Stored> {
    let unknown = || Problem::not_found("coupon");
    let code = CouponCode::parse(code).map_err(|_| unknown())?;
    coupons::find(service.db.read(), &code).await?.ok_or_else(unknown)
}
