//! What ordering asks of other services, and how long it waits for an answer.

use std::{collections::HashMap, future::Future, time::Duration};

use bookworm_contracts::grpc::{
    self, Transport,
    basket::{
        ClaimBasketRequest, GetBasketRequest, GetBasketResponse, ReleaseBasketRequest, basket_client::BasketClient,
    },
    catalog::{Book, GetBooksRequest, catalog_client::CatalogClient},
};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, ErrorCode, OrderId};
use tonic::{Response, Status};

use crate::shopper::Shopper;

/// How long to wait for one answer.
const PATIENCE: Duration = Duration::from_secs(3);
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
    pub basket: BasketClient<Transport>,
    pub catalog: CatalogClient<Transport>,
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
        let mut client = self.basket.clone();
        answered("basket", client.get_basket(grpc::request(cause, question))).await
    }

    /// Claims a basket as it was read, for an order that is about to be placed. Returns the order to place: this one, or
    /// that of an earlier claim by the same claimant; `None` when the basket must be read again. Repeating it is harmless,
    /// so an answer that does not come is asked for once more. A claim whose answer was lost for good is found again by
    /// the same claimant at once, and by others after a while.
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
        let ask = || {
            let mut client = self.basket.clone();
            let request = grpc::request(cause, question.clone());
            async move { client.claim_basket(request).await }
        };
        let answer = match answered("basket", ask()).await {
            Ok(answer) => answer,
            Err(_) => answered("basket", ask()).await?,
        };
        Ok(answer.order_id.parse().ok())
    }

    /// Ends the claim of an order that is off, or can never be placed. Repeating it is harmless.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn release(&self, cause: &Cause, basket_id: &str, order: OrderId) -> Result<()> {
        let question = ReleaseBasketRequest { basket_id: basket_id.to_owned(), order_id: order.to_string() };
        let mut client = self.basket.clone();
        answered("basket", client.release_basket(grpc::request(cause, question))).await.map(drop)
    }

    /// What these books are now. Books that are not sold any more are missing.
    ///
    /// # Errors
    /// 503 `unavailable` when there is no answer in time.
    pub async fn books(&self, cause: &Cause, ids: &[BookId]) -> Result<HashMap<BookId, Book>> {
        let mut books = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(MOST) {
            let question = GetBooksRequest { ids: ids.iter().map(BookId::to_string).collect() };
            let mut client = self.catalog.clone();
            let answer = answered("catalogue", client.get_books(grpc::request(cause, question))).await?;
            books.extend(answer.books.into_iter().filter_map(|book| Some((book.id.parse().ok()?, book))));
        }
        Ok(books)
    }
}

async fn answered<T>(who: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    let silent = || {
        metrics::counter!("ordering_calls_failed_total", "service" => who.to_owned()).increment(1);
        Problem::new(ErrorCode::Unavailable)
            .detail(format!("The {who} isn’t responding right now. Nothing was ordered. Please try again in a moment."))
            .retry_after(Duration::from_secs(1))
    };
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => {
            tracing::warn!(who, code = ?status.code(), message = status.message(), "a question was refused");
            Err(silent())
        }
        Err(_) => {
            tracing::warn!(who, "no answer within 3 s");
            Err(silent())
        }
    }
}
