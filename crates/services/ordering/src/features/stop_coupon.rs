use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::coupons::Coupon;
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ApiPath, Result, auth::StaffOnly, openapi::ProblemResponses};

use super::{get_coupon::find, shown};
use crate::{service::Ordering, store::coupons, visitor::author};

/// Stops a coupon
///
/// For staff, and for good: from now on its code is refused. Orders that use it keep their discount. Stopping it again changes
/// nothing.
#[utoipa::path(
    post, path = "/admin/coupons/{code}/stop", tag = "ordering",
    params(("code" = String, Path, description = "Its code; case does not matter")),
    responses((status = 200, description = "The coupon", body = Coupon), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn stop_coupon(
    State(service): State<Arc<Ordering>>,
    ApiPath(code): ApiPath<String>,
    StaffOnly(staff): StaffOnly,
) -> Result<ApiJson<Coupon>> {
    let code = find(&service, &code).await?.coupon.code;
    let (by, now, stopped) = (author(&staff), service.now(), code.clone());
    service
        .db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { coupons::stop(tx, &stopped, &by, now).await }))
        .await?;
    Ok(ApiJson(shown::stored_coupon(find(&service, code.as_str()).await?)))
}
