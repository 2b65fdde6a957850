use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::basket::Basket;
use bookworm_http::{ApiPath, Result, openapi::ProblemResponses};
use bookworm_kernel::BookId;

use crate::{
    features::shopper::{Answer, Shopper},
    service::Baskets,
};

/// Takes a book out of the basket
///
/// Nothing happens when it is not in.
#[utoipa::path(
    delete, path = "/basket/items/{book_id}", tag = "basket",
    params(
        ("book_id" = BookId, Path, description = "The book"),
        ("Basket-Token" = Option<String>, Header, description = "A guest's secret; also as cookie `basket_token`"),
    ),
    responses((status = 200, description = "The basket", body = Basket), ProblemResponses)
)]
pub(crate) async fn remove_item(
    State(service): State<Arc<Baskets>>,
    shopper: Shopper,
    ApiPath(book_id): ApiPath<BookId>,
) -> Result<Answer> {
    service
        .change(&shopper, move |basket| {
            basket.remove(book_id);
            Ok(())
        })
        .await
}
