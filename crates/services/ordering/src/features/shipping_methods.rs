use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, ordering::ShippingMethod};
use bookworm_http::{ApiJson, ApiQuery, Result, Validator};
use bookworm_kernel::Money;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{domain::shipping, service::Ordering};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// ISO 3166-1 alpha-2, or `XK`: only what is worth offering there, the cheapest first.
    #[serde(default)]
    country: Option<String>,
    /// With `country`: the value of the goods in minor units, which decides what ships free.
    #[serde(default)]
    subtotal: Option<i64>,
}

/// The ways to deliver
///
/// All, in the order in which they are set up. With `country`, those that are offered there: what is neither cheaper
/// nor faster than another is left out, and the cheapest comes first, with its `charge`.
#[utoipa::path(
    get, path = "/shipping-methods", tag = "ordering", params(Params),
    responses(
        (status = 200, description = "All of them, or those offered in the country", body = Page<ShippingMethod>),
        (status = 400, description = "`validation_failed`", body = bookworm_http::ProblemBody),
    )
)]
pub(crate) async fn shipping_methods(
    State(service): State<Arc<Ordering>>,
    ApiQuery(params): ApiQuery<Params>,
) -> Result<ApiJson<Page<ShippingMethod>>> {
    let terms = &service.terms;
    let mut valid = Validator::new();
    let country = params.country.as_deref().map(bookworm_address::country);
    valid.check("/country", !matches!(country, Some(None)), "Choose the country, a code of two letters such as US.");
    valid.check("/subtotal", params.subtotal.unwrap_or(0) >= 0, "must be 0 or more");
    valid.finish()?;
    let subtotal = Money::new(params.subtotal.unwrap_or(0), terms.currency);
    let of = |method: &shipping::ShippingMethod, charge: Option<Money>| ShippingMethod {
        code: method.code.clone(),
        name: method.name.clone(),
        price: method.price,
        free_from: method.free_from,
        min_days: method.min_days,
        max_days: method.max_days,
        countries: method.countries.clone(),
        charge,
    };
    let items = match country.flatten() {
        None => terms.shipping_methods.iter().map(|method| of(method, None)).collect(),
        Some(country) => shipping::offered(&terms.shipping_methods, country.code(), subtotal)
            .into_iter()
            .map(|method| of(method, Some(shipping::charge(method, subtotal))))
            .collect(),
    };
    Ok(ApiJson(Page { items, next: None }))
}
