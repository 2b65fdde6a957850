use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::ShippingCountry};
use bookworm_http::ApiJson;

use crate::{OrderingService, domain::shipping};

/// Where the shop delivers to
///
/// The likely country first, the others by name. Nothing here depends on who asks.
#[utoipa::path(
    get, path = "/shipping-countries", tag = "ordering",
    responses((status = 200, description = "All of them", body = Page<ShippingCountry>))
)]
pub(crate) async fn shipping_countries(State(service): State<OrderingService>) -> ApiJson<Page<ShippingCountry>> {
    let countries = shipping::countries(&service.0.settings)
        .into_iter()
        .map(|country| ShippingCountry { code: country.code().to_owned(), name: country.name().to_owned() });
    ApiJson(Page { items: countries.collect(), next: None })
}
