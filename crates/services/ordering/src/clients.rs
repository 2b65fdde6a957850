//! What ordering asks of other services, and how long it waits for an answer.

use std::{collections::HashMap, future::Future, time::Duration};

use bookworm_contracts::grpc::{
    self, Transport,
    basket::{GetBasketRequest, GetBasketResponse, basket_client::BasketClient},
    catalog::{Book, GetBooksRequest, catalog_client::CatalogClient},
};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, ErrorCode};
use tonic::{Response, Status};

use crate::shopper::Shopper;

/// How long to wait for one answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most books in one question.
const MOST: usize = 200;

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
            .detail(format!("The {who} does not answer just now. Nothing was ordered; try again in a moment."))
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
