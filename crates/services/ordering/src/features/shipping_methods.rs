use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::ShippingMethod};
use bookworm_http::ApiJson;
use bookworm_kernel::Money;

use crate::OrderingService;

/// The ways to deliver
///
/// In the order in which they are offered. Nothing here depends on who asks.
#[utoipa::path(
    get, path = "/shipping-methods", tag = "ordering",
    responses((status = 200, description = "All of them", body = Page<ShippingMethod>))
)]
pub(crate) async fn shipping_methods(State(service): State<OrderingService>) -> ApiJson<Page<ShippingMethod>> {
    let settings = &service.0.settings;
    let money = |amount| Money::new(amount, settings.currency);
    let methods = settings.shipping_methods.iter().map(|method| ShippingMethod {
        code: method.code.clone(),
        name: method.name.clone(),
        price: money(method.price),
        free_from: method.free_from.map(money),
        min_days: method.min_days,
        max_days: method.max_days,
        countries: method.countries.clone(),
    });
    ApiJson(Page { items: methods.collect(), next: None })
}
