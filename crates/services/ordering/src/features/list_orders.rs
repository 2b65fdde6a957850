use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::Order};
use bookworm_http::{
    ApiJson, ApiQuery, PageParams, Problem, Result, Validator, auth::Signed, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::{CustomerId, ErrorCode};
use serde::{Deserialize, de::IntoDeserializer};

use crate::{
    domain::status::OrderStatus,
    service::Ordering,
    store::orders::{self, After, Filter},
};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// Only orders in this state, e.g. `confirmed`.
    #[serde(default)]
    #[param(value_type = Option<bookworm_contracts::rest::ordering::OrderStatus>)]
    status: Option<String>,
    /// Only orders whose number or email address begins so, or where each word begins a word of the recipient's name; at
    /// most 254 characters. Case and accents do not matter, nor do hyphens and the leading `BW` of a number.
    #[serde(default)]
    #[param(max_length = 254)]
    q: Option<String>,
    /// Only orders of this account; others than one's own are for staff.
    #[serde(default)]
    #[param(value_type = Option<CustomerId>)]
    customer_id: Option<String>,
    /// `newest` first, which is the default, or `oldest` first.
    #[serde(default)]
    #[param(pattern = "^(newest|oldest)$")]
    sort: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Orders, newest first
///
/// One's own; staff see all. Empty filters count as none.
#[utoipa::path(
    get, path = "/orders", tag = "ordering", params(Params, PageParams),
    responses((status = 200, description = "A page of orders", body = Page<Order>), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn list_orders(
    State(service): State<Arc<Ordering>>,
    Signed(account): Signed,
    ApiQuery(params): ApiQuery<Params>,
) -> Result<ApiJson<Page<Order>>> {
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut valid = Validator::new();
    let status = given(params.status).and_then(|name| valid.take("/status", status(&name)));
    let customer = given(params.customer_id).and_then(|id| {
        valid.take("/customer_id", id.parse::<CustomerId>().map_err(|_| "must be an account's id, a UUID"))
    });
    let search = valid.optional_text("/q", params.q.as_deref(), 1..=254);
    let oldest_first = match given(params.sort).as_deref() {
        None | Some("newest") => false,
        Some("oldest") => true,
        Some(_) => {
            valid.error("/sort", "must be newest or oldest");
            false
        }
    };
    valid.finish()?;
    let customer_id = match customer {
        _ if account.is_staff() => customer,
        Some(other) if other != account.id => return Err(Problem::new(ErrorCode::Forbidden)),
        _ => Some(account.id),
    };
    let (limit, after) = (params.page.limit()?, params.page.after::<After>()?);
    let filter = Filter { customer_id, status, search, oldest_first };
    let found = orders::list(service.db.read(), &filter, after, limit + 1).await?;
    let (items, next) =
        cursor::page(found, limit, |order| After { placed_at: order.placed_at.micros(), id: order.id.uuid() });
    Ok(ApiJson(Page { items: items.into_iter().map(Order::from).collect(), next }))
}

fn status(name: &str) -> Result<OrderStatus, &'static str> {
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
    OrderStatus::deserialize(name)
        .map_err(|_| "must be pending, confirmed, shipped, completed, cancelled, rejected or refunded")
}
