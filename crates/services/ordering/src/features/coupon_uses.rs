use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, coupons::CouponUse};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, ApiQuery, PageParams, Result, auth::StaffOnly, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::{OrderId, Timestamp};

use super::get_coupon::find;
use crate::{
    service::Ordering,
    store::coupons::{self, AfterUse, Use},
};

/// The orders that used a coupon, the latest first
///
/// For staff. Also those that were rejected or cancelled: these gave their use back.
#[utoipa::path(
    get, path = "/admin/coupons/{code}/uses", tag = "ordering",
    params(("code" = String, Path, description = "Its code; case does not matter"), PageParams),
    responses((status = 200, description = "A page of orders", body = Page<CouponUse>), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn coupon_uses(
    State(service): State<Arc<Ordering>>,
    ApiPath(code): ApiPath<String>,
    _staff: StaffOnly,
    ApiQuery(page): ApiQuery<PageParams>,
) -> Result<ApiJson<Page<CouponUse>>> {
    let (limit, after) = (page.limit()?, page.after::<AfterUse>()?);
    let code = find(&service, &code).await?.coupon.code;
    let found = coupons::uses(service.db.read(), &code, after, limit + 1).await?;
    let (items, next) = cursor::page(found, limit, |used| AfterUse { at: used.at, order_id: used.order_id });
    let items = items.into_iter().map(shown).collect::<Result<_, DbError>>()?;
    Ok(ApiJson(Page { items, next }))
}

fn shown(used: Use) -> Result<CouponUse, DbError> {
    Ok(CouponUse {
        order_id: OrderId::from_uuid(used.order_id),
        discount: used.order()?.discount,
        number: used.number,
        at: Timestamp::from_micros(used.at),
        returned_at: used.returned_at.map(Timestamp::from_micros),
    })
}
