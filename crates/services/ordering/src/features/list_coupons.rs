use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, coupons::Coupon};
use bookworm_http::{ApiJson, ApiQuery, PageParams, Result, auth::StaffOnly, cursor, openapi::ProblemResponses};

use super::shown;
use crate::{
    service::Ordering,
    store::coupons::{self, After},
};

/// Coupons, the newest first
///
/// For staff.
#[utoipa::path(
    get, path = "/admin/coupons", tag = "ordering", params(PageParams),
    responses((status = 200, description = "A page of coupons", body = Page<Coupon>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn list_coupons(
    State(service): State<Arc<Ordering>>,
    _staff: StaffOnly,
    ApiQuery(page): ApiQuery<PageParams>,
) -> Result<ApiJson<Page<Coupon>>> {
    let (limit, after) = (page.limit()?, page.after::<After>()?);
    let found = coupons::list(service.db.read(), after, limit + 1).await?;
    let (items, next) = cursor::page(found, limit, |stored| After {
        created_at: stored.created_at.micros(),
        code: stored.coupon.code.to_string(),
    });
    Ok(ApiJson(Page { items: items.into_iter().map(shown::stored_coupon).collect(), next }))
}
