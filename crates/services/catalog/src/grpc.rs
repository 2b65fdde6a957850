//! Queries of other services.

use std::sync::Arc;

use bookworm_contracts::grpc::catalog::{Book, GetBooksRequest, GetBooksResponse, catalog_server};
use bookworm_http::grpc::to_status;
use tonic::{Request, Response, Status};

use crate::{
    features::get_offers::{self, Offer},
    service::Catalog,
};

/// Answers `Catalog.GetBooks`.
pub struct Offers(pub(crate) Arc<Catalog>);

#[tonic::async_trait]
impl catalog_server::Catalog for Offers {
    async fn get_books(&self, request: Request<GetBooksRequest>) -> Result<Response<GetBooksResponse>, Status> {
        let offers = get_offers::get_offers(&self.0, &request.into_inner().ids).await;
        let offers = offers.map_err(|problem| to_status(&problem))?;
        Ok(Response::new(GetBooksResponse { books: offers.into_iter().map(book).collect() }))
    }
}

fn book(offer: Offer) -> Book {
    Book {
        id: offer.id.to_string(),
        title: offer.title,
        authors: offer.authors,
        language: offer.language.unwrap_or_default(),
        price: offer.price,
        currency: offer.currency,
        available: offer.available,
        cover_url: offer.cover_url,
        subjects: offer.subjects,
        publisher: offer.publisher.unwrap_or_default(),
    }
}
