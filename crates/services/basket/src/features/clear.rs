use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::basket::Basket;
use bookworm_http::{Result, openapi::ProblemResponses};

use crate::{
    features::shopper::{Answer, Shopper},
    service::Baskets,
};

/// Empties the basket
#[utoipa::path(
    delete, path = "/basket", tag = "basket",
    params(("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`")),
    responses((status = 200, description = "The empty basket", body = Basket), ProblemResponses)
)]
pub(crate) async fn clear_basket(State(service): State<Arc<Baskets>>, shopper: Shopper) -> Result<Answer> {
    service
        .change(&shopper, |basket| {
            basket.clear();
            Ok(())
        })
        .await
}
