use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::ShippingCountry};
use bookworm_http::ApiJson;

use crate::{domain::shipping, service::Ordering};

/// Where the shop delivers to
///
/// The likely country first, the others by name. Nothing here depends on who asks.
#[utoipa::path(
    get, path = "/shipping-countries", tag = "ordering",
    responses((status = 200, description = "All of them", body = Page<ShippingCountry>))
)]
pub(crate) async fn shipping_countries(State(service): State<Arc<Ordering>>) -> ApiJson<Page<ShippingCountry>> {
    let countries = shipping::countries(&service.terms.shipping_methods)
        .into_iter()
        .map(|country| ShippingCountry { code: country.code().to_owned(), name: country.name().to_owned() });
    ApiJson(Page { items: countries.collect(), next: None })
}
