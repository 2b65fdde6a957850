//! What ordering asks of other services.

use std::{collections::HashMap, time::Duration};

use bookworm_contracts::grpc::{
    self, Edge,
    basket::{
        ClaimBasketRequest, GetBasketRequest, GetBasketResponse, ReleaseBasketRequest, basket_client::BasketClient,
    },
    catalog::{Book, GetBooksRequest, catalog_client::CatalogClient},
};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, ErrorCode, OrderId};
use tonic::{Response, Status};

use crate::shopper::Shopper;

/// The most books in one question.
const MOST: usize = 200;

/// A basket as it was read.
#[derive(Debug, Clone)]
pub(crate) struct BasketVersion {
    pub id: String,
    pub version: u64,
}

impl From<&GetBasketResponse> for BasketVersion {
    fn from(basket: &GetBasketResponse) -> Self {
        Self { id: basket.basket_id.clone(), version: basket.version }
    }
}

/// Other services.
pub(crate) struct Clients {
    pub basket: BasketClient<Edge>,
    pub catalog: CatalogClient<Edge>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// What is in the shopper's basket.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn basket(&self, cause: &Cause, shopper: &Shopper) -> Result<GetBasketResponse> {
        let question = GetBasketRequest { owner: Some(shopper.owner()) };
        answered("basket", self.basket.clone().get_basket(grpc::request(cause, question)).await)
    }

    /// Claims a basket as it was read, for an order that is about to be placed. Returns the order to place: this one, or
    /// that of an earlier claim by the same claimant; `None` when the basket must be read again. A claim
    /// whose answer was lost is found again by the same claimant at once, and by others after a while.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn claim(
        &self,
        cause: &Cause,
        basket: &BasketVersion,
        order: OrderId,
        claimant: &str,
    ) -> Result<Option<OrderId>> {
        let BasketVersion { id, version } = basket.clone();
        let question =
            ClaimBasketRequest { basket_id: id, version, order_id: order.to_string(), claimant: claimant.to_owned() };
        let answer = answered("basket", self.basket.clone().claim_basket(grpc::request(cause, question)).await)?;
        Ok(answer.order_id.parse().ok())
    }

    /// Ends the claim of an order that is off, or can never be placed. Repeating it is harmless.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn release(&self, cause: &Cause, basket_id: &str, order: OrderId) -> Result<()> {
        let question = ReleaseBasketRequest { basket_id: basket_id.to_owned(), order_id: order.to_string() };
        answered("basket", self.basket.clone().release_basket(grpc::request(cause, question)).await).map(drop)
    }

    /// What these books are now. Books that are not sold any more are missing.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn books(&self, cause: &Cause, ids: &[BookId]) -> Result<HashMap<BookId, Book>> {
        let mut books = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(MOST) {
            let question = GetBooksRequest { ids: ids.iter().map(BookId::to_string).collect() };
            let answer = answered("catalogue", self.catalog.clone().get_books(grpc::request(cause, question)).await)?;
            books.extend(answer.books.into_iter().filter_map(|book| Some((book.id.parse().ok()?, book))));
        }
        Ok(books)
    }
}

/// What a customer reads when there is no answer.
fn answered<T>(who: &str, answer: Result<Response<T>, Status>) -> Result<T> {
    answer.map(Response::into_inner).map_err(|_| {
        metrics::counter!("ordering_calls_failed_total", "service" => who.to_owned()).increment(1);
        Problem::new(ErrorCode::Unavailable)
            .detail(format!("The {who} isn’t responding right now. Nothing was ordered. Please try again in a moment."))
            .retry_after(Duration::from_secs(1))
    })
}
