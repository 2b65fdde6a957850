use bookworm_db::DbError;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{BookId, FieldError};
use uuid::Uuid;

use crate::{
    service::Catalog,
    store::{books, stored},
};

/// The most ids of one query.
const MAX_IDS: usize = 200;

/// Price and availability of a book that is on sale.
pub(crate) struct Offer {
    pub(crate) id: Uuid,
    pub(crate) title: String,
    /// Names as printed.
    pub(crate) authors: Vec<String>,
    pub(crate) language: Option<String>,
    pub(crate) price: i64,
    pub(crate) currency: String,
    /// Copies that can be bought now.
    pub(crate) available: i64,
    pub(crate) cover_url: String,
    /// Names.
    pub(crate) subjects: Vec<String>,
    pub(crate) publisher: Option<String>,
}

/// The offers of these books as the database has them now, never as the cache has them: checkout relies on them.
pub(crate) async fn get_offers(catalog: &Catalog, ids: &[String]) -> Result<Vec<Offer>> {
    let ids = parse(ids)?;
    let offers = books::offers(catalog.db.read(), &ids).await?;
    Ok(offers.into_iter().map(offered).collect::<std::result::Result<_, DbError>>()?)
}

fn parse(ids: &[String]) -> Result<Vec<BookId>> {
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

fn offered(offer: books::Offer) -> std::result::Result<Offer, DbError> {
    let authors =
        stored::authors(&offer.authors).map_err(|_| DbError::Corrupt(format!("authors of book {}", offer.id)))?;
    let subjects = serde_json::from_str(&offer.subjects)
        .map_err(|_| DbError::Corrupt(format!("subjects of book {}", offer.id)))?;
    Ok(Offer {
        cover_url: books::cover_url(offer.id, offer.version),
        id: offer.id,
        title: offer.title,
        authors: authors.into_iter().map(|author| author.name).collect(),
        language: offer.language,
        price: offer.price,
        currency: offer.currency,
        available: offer.available,
        subjects,
        publisher: offer.publisher,
    })
}
