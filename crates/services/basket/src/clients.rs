//! What the basket asks of other services: the catalogue's present offer of a book.

use std::{collections::HashMap, time::Duration};

use bookworm_contracts::grpc::{self, Edge, catalog::GetBooksRequest, catalog::catalog_client::CatalogClient};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, Currency, ErrorCode, Money};

use crate::domain::Offer;

/// The books asked for that are sold now.
pub(crate) type Offers = HashMap<BookId, Offer>;

/// The catalogue's limit of books in one call.
const MAX_BOOKS_PER_CALL: usize = 200;
/// How long a cached offer may stand in the reply to a change. Reading a basket always asks.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How many books are cached.
const CACHE_CAPACITY: u64 = 10_000;

pub(crate) struct Catalogue {
    client: CatalogClient<Edge>,
    recent: moka::sync::Cache<BookId, Offer>,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalogue")
    }
}

impl Catalogue {
    pub fn new(client: CatalogClient<Edge>) -> Self {
        Self {
            client,
            recent: moka::sync::Cache::builder().max_capacity(CACHE_CAPACITY).time_to_live(CACHE_TTL).build(),
        }
    }

    /// What these books are now. Books that are unknown or no longer sold are missing in the answer.
    ///
    /// # Errors
    /// 503 `unavailable` when the catalogue does not answer in time.
    pub async fn now(&self, cause: &Cause, ids: &[BookId]) -> Result<Offers> {
        let mut offers = Offers::with_capacity(ids.len());
        for ids in ids.chunks(MAX_BOOKS_PER_CALL) {
            let question = GetBooksRequest { ids: ids.iter().map(BookId::to_string).collect() };
            let answer = self.client.clone().get_books(grpc::request(cause, question)).await;
            let books = answer.map_err(|status| unavailable(status.message()))?.into_inner().books;
            for book in books {
                let offer = read(book)?;
                self.recent.insert(offer.book_id, offer.clone());
                offers.insert(offer.book_id, offer);
            }
        }
        Ok(offers)
    }

    /// As [`Catalogue::now`], but an answer of the last second will do.
    pub async fn recent(&self, cause: &Cause, ids: impl Iterator<Item = BookId>) -> Result<Offers> {
        let (mut offers, mut unknown) = (Offers::new(), Vec::new());
        for id in ids {
            match self.recent.get(&id) {
                Some(offer) => drop(offers.insert(id, offer)),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            offers.extend(self.now(cause, &unknown).await?);
        }
        Ok(offers)
    }
}

fn unavailable(why: &str) -> Problem {
    tracing::warn!(why, "the catalogue does not answer");
    metrics::counter!("basket_catalogue_failures_total").increment(1);
    Problem::new(ErrorCode::Unavailable)
        .detail("The catalogue isn’t responding right now. Please try again in a moment.")
        .retry_after(Duration::from_secs(1))
}

fn read(book: grpc::catalog::Book) -> Result<Offer> {
    let (Ok(book_id), Ok(currency)) = (book.id.parse(), Currency::parse(&book.currency)) else {
        return Err(unavailable("a book without an id or a currency"));
    };
    Ok(Offer {
        book_id,
        title: book.title,
        authors: book.authors,
        language: Some(book.language).filter(|language| !language.is_empty()),
        cover_url: book.cover_url,
        price: Money::new(book.price, currency),
        available: book.available.max(0),
    })
}
