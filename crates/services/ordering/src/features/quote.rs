use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::ordering::{Quote, QuoteRequest};
use bookworm_http::{ApiJson, Origin, Result, Validator, openapi::ProblemResponses};

use super::shown;
use crate::{
    domain::pricing, features::checkout::unpriced, purchase::Purchase, redemption::Redemption, service::Ordering,
    shopper::Shopper,
};

/// What the basket would cost
///
/// Today's prices, delivery to the country, its tax, and what a coupon takes off; without a `shipping_method` the cheapest that goes there.
/// Refused as a checkout would be: `basket_empty`, `book_unavailable`, `shipping_unavailable`, `coupon_refused`, `unavailable`; and
/// `validation_failed` with `/region` where the tax depends on the region and it is missing or unknown.
#[utoipa::path(
    post, path = "/orders/quote", tag = "ordering", request_body = QuoteRequest,
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses(
        (status = 200, description = "The price", body = Quote),
        (status = 422, description = "`shipping_unavailable`, `coupon_refused`"),
        ProblemResponses
    )
)]
pub(crate) async fn quote(
    State(service): State<Arc<Ordering>>,
    Origin(cause): Origin,
    shopper: Result<Shopper>,
    ApiJson(request): ApiJson<QuoteRequest>,
) -> Result<ApiJson<Quote>> {
    let mut valid = Validator::new();
    let country = bookworm_address::country(&request.country);
    valid.check("/country", country.is_some(), "Choose the country, a code of two letters such as US.");
    let region = valid.optional_text("/region", request.region.as_deref(), 1..=100);
    let method = valid.optional_text("/shipping_method", request.shipping_method.as_deref(), 1..=40);
    let code = valid.optional_text("/coupon", request.coupon.as_deref(), 1..=100);
    valid.finish()?;
    let shopper = shopper?;
    let purchase = Purchase::of(&service, &cause, &shopper).await?;
    let redemption = Redemption::of(&service, code.as_deref(), &purchase, &shopper).await?;
    let country = country.map_or("", bookworm_address::Country::code);
    let reduction = redemption.as_ref().map(|redemption| &redemption.reduction);
    let prices = purchase.prices();
    pricing::quote(&service.terms, prices, method.as_deref(), country, region.as_deref(), reduction)
        .map(|quote| ApiJson(shown::quote(quote, redemption.map(|redemption| redemption.coupon))))
        .map_err(unpriced)
}
