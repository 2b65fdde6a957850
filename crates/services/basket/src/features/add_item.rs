use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::basket::{AddItem, Basket};
use bookworm_http::{ApiJson, Problem, Result, openapi::ProblemResponses};

use crate::{
    features::shopper::{Answer, Shopper},
    service::Baskets,
};

/// Puts copies of a book into the basket
///
/// Adds to what is there: at most 99 copies of a book (`validation_failed`, `/quantity`) and 100 different books
/// (`basket_full`). The book must exist (`not_found`); that there are enough copies is checked at the checkout. A
/// guest without a basket gets one, with its secret in the header `Basket-Token` and in the cookie `basket_token`.
/// `unavailable` when the catalogue does not answer.
#[utoipa::path(
    post, path = "/basket/items", tag = "basket", request_body = AddItem,
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 200, description = "The basket", body = Basket), ProblemResponses)
)]
pub(crate) async fn add_item(
    State(service): State<Arc<Baskets>>,
    shopper: Shopper,
    ApiJson(item): ApiJson<AddItem>,
) -> Result<Answer> {
    let mut offers = service.catalogue.recent(&shopper.cause, std::iter::once(item.book_id)).await?;
    let offer = offers.remove(&item.book_id).ok_or_else(|| Problem::not_found("book"))?;
    let max_lines = service.settings.max_lines;
    service.change(&shopper, move |basket| basket.add(offer.clone(), item.quantity, max_lines)).await
}
