use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::basket::{Basket, SetQuantity};
use bookworm_http::{ApiJson, ApiPath, Result, Validator, openapi::ProblemResponses};
use bookworm_kernel::{BookId, InvalidQuantity, Quantity};

use crate::{
    features::shopper::{Answer, Shopper},
    service::Baskets,
};

/// Sets how many copies of a book are wanted
///
/// 1 to 99 for a book in the basket (`not_found` when it is not); 0 takes it out.
#[utoipa::path(
    patch, path = "/basket/items/{book_id}", tag = "basket", request_body = SetQuantity,
    params(
        ("book_id" = BookId, Path, description = "The book"),
        ("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`"),
    ),
    responses((status = 200, description = "The basket", body = Basket), ProblemResponses)
)]
pub(crate) async fn set_quantity(
    State(service): State<Arc<Baskets>>,
    shopper: Shopper,
    ApiPath(book_id): ApiPath<BookId>,
    ApiJson(wanted): ApiJson<SetQuantity>,
) -> Result<Answer> {
    if wanted.quantity == 0 {
        return service
            .change(&shopper, move |basket| {
                basket.remove(book_id);
                Ok(())
            })
            .await;
    }
    let mut valid = Validator::new();
    let quantity = valid.take(
        "/quantity",
        Quantity::new(wanted.quantity).map_err(|InvalidQuantity(n)| format!("must be between 0 and 99, not {n}")),
    );
    valid.finish()?;
    let quantity = quantity.unwrap_or(Quantity::ONE);
    service.change(&shopper, move |basket| basket.set(book_id, quantity)).await
}
