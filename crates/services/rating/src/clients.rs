//! What the rating role asks of other roles: whether the catalogue sells a book.

use std::time::Duration;

use bookworm_contracts::grpc::{self, Edge, catalog::GetBooksRequest, catalog::catalog_client::CatalogClient};
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, Cause, ErrorCode};

/// Whether the catalogue sells this book now.
///
/// # Errors
/// 503 `unavailable` when the catalogue does not answer in time.
pub(crate) async fn sells(catalog: &CatalogClient<Edge>, cause: &Cause, book: BookId) -> Result<bool> {
    let question = GetBooksRequest { ids: vec![book.to_string()] };
    match catalog.clone().get_books(grpc::request(cause, question)).await {
        Ok(answer) => Ok(!answer.into_inner().books.is_empty()),
        Err(status) => {
            tracing::warn!(why = status.message(), "the catalogue does not answer");
            Err(Problem::new(ErrorCode::Unavailable)
                .detail("The catalogue isn’t responding right now. Please try again in a moment.")
                .retry_after(Duration::from_secs(1)))
        }
    }
}
