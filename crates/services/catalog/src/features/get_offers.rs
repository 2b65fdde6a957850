use bookworm_contracts::{
    grpc::catalog::{Book, GetBooksRequest, GetBooksResponse, catalog_server::Catalog},
    rest::catalog::AuthorRef,
};
use bookworm_db::DbError;
use bookworm_http::{Problem, grpc::to_status};
use bookworm_kernel::{BookId, FieldError};
use tonic::{Request, Response, Status};

use crate::{CatalogService, store::books};

/// The most ids of one query.
const MAX_IDS: usize = 200;

/// Answers `Catalog.GetBooks`: price and availability as the database has them now.
#[derive(Clone)]
pub struct Offers(CatalogService);

impl Offers {
    /// Answers for this catalogue.
    #[must_use]
    pub fn new(catalog: &CatalogService) -> Self {
        Self(catalog.clone())
    }
}

#[tonic::async_trait]
impl Catalog for Offers {
    async fn get_books(&self, request: Request<GetBooksRequest>) -> Result<Response<GetBooksResponse>, Status> {
        let ids = parse(&request.into_inner().ids).map_err(|problem| to_status(&problem))?;
        let offers = books::offers(self.0.0.db.read(), &ids).await;
        let offers = offers.map_err(|error| to_status(&Problem::from(error)))?;
        let books = offers.into_iter().map(offered).collect::<Result<Vec<_>, _>>();
        let books = books.map_err(|error| to_status(&Problem::from(error)))?;
        Ok(Response::new(GetBooksResponse { books }))
    }
}

fn parse(ids: &[String]) -> Result<Vec<BookId>, Problem> {
    if ids.len() > MAX_IDS {
        let message = format!("must be at most {MAX_IDS}, not {}", ids.len());
        return Err(Problem::validation(vec![FieldError::new("/ids", message)]));
    }
    ids.iter()
        .enumerate()
        .map(|(i, id)| {
            id.parse().map_err(|_| Problem::validation(vec![FieldError::new(format!("/ids/{i}"), "must be a UUID")]))
        })
        .collect()
}

fn offered(offer: books::Offer) -> Result<Book, DbError> {
    let authors: Vec<AuthorRef> =
        serde_json::from_str(&offer.authors).map_err(|_| DbError::Corrupt(format!("authors of book {}", offer.id)))?;
    Ok(Book {
        id: offer.id.to_string(),
        title: offer.title,
        authors: authors.into_iter().map(|author| author.name).collect(),
        language: offer.language.unwrap_or_default(),
        price: offer.price,
        currency: offer.currency,
        available: offer.available,
        cover_url: books::cover_url(offer.id, offer.version),
    })
}
