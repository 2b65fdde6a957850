use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::{
    Page,
    catalog::{Book, BookSort},
};
use bookworm_http::{ApiQuery, PageParams, Problem, ProblemBody, Result, Validator, cursor};
use bookworm_kernel::{ErrorCode, UnknownLanguage};
use serde::Deserialize;

use super::{answer, send};
use crate::{
    domain::draft,
    service::Catalog,
    store::find::{self, Filter, Listed, Position},
};

/// What a list of books is narrowed and sorted by. Conditions hold together; a blank one is none.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BookParams {
    /// Id or name of a subject; case and diacritics do not matter.
    #[param(max_length = 200)]
    subject: Option<String>,
    /// Id or name of an author; case and diacritics do not matter.
    #[param(max_length = 200)]
    author: Option<String>,
    /// Id or name of a publisher; case and diacritics do not matter.
    #[param(max_length = 200)]
    publisher: Option<String>,
    /// ISO 639 code, e.g. `en`.
    language: Option<String>,
    /// Lowest price, in minor units.
    #[param(value_type = Option<i64>, minimum = 0)]
    min_price: Option<String>,
    /// Highest price, in minor units.
    #[param(value_type = Option<i64>, minimum = 0)]
    max_price: Option<String>,
    /// `true`: only what can be bought now.
    #[param(value_type = Option<bool>)]
    in_stock: Option<String>,
    /// The order; `relevance` when left out.
    #[param(value_type = Option<BookSort>)]
    sort: Option<String>,
    /// How many: 1 to 100; 20 when left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<String>,
    /// The `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// A list as it was asked for, checked.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) filter: Filter,
    pub(crate) sort: BookSort,
    pub(crate) limit: usize,
    pub(crate) after: Option<Position>,
}

impl BookParams {
    /// The cursor, unless it is blank.
    pub(crate) fn cursor(&self) -> Option<&str> {
        present(&self.cursor)
    }

    /// Checks every parameter.
    ///
    /// # Errors
    /// 400 `validation_failed` with every parameter that is not valid, or `invalid_cursor`.
    pub(crate) fn check(&self) -> Result<Listing> {
        let listing = self.check_without_cursor()?;
        let after: Option<Position> = self.cursor().map(cursor::decode).transpose()?;
        if after.as_ref().is_some_and(|position| !position.fits(listing.sort)) {
            return Err(Problem::new(ErrorCode::InvalidCursor).detail("The cursor belongs to a list of another order."));
        }
        Ok(Listing { after, ..listing })
    }

    /// Checks every parameter but the cursor.
    ///
    /// # Errors
    /// 400 `validation_failed` with every parameter that is not valid.
    pub(crate) fn check_without_cursor(&self) -> Result<Listing> {
        let mut valid = Validator::new();
        let page = PageParams { limit: self.limit.clone().filter(|limit| !limit.is_empty()), cursor: None };
        let limit = match page.limit() {
            Ok(limit) => limit,
            Err(problem) => {
                problem.errors().iter().for_each(|error| valid.error(&error.field, &error.message));
                PageParams::DEFAULT_LIMIT
            }
        };
        let name = |valid: &mut Validator, field: &str, text: &Option<String>| {
            valid.optional_text(field, text.as_deref(), 1..=draft::NAME)
        };
        let (subject, author) =
            (name(&mut valid, "/subject", &self.subject), name(&mut valid, "/author", &self.author));
        let publisher = name(&mut valid, "/publisher", &self.publisher);
        let language = present(&self.language).and_then(|text| {
            let language = draft::language(text);
            valid.check("/language", language.is_some(), UnknownLanguage.to_string());
            language
        });
        let price = |valid: &mut Validator, field: &str, text: &Option<String>| {
            present(text).and_then(|text| {
                let price = text.parse::<i64>().ok().filter(|price| *price >= 0);
                valid.check(field, price.is_some(), "must be a whole number of minor units, 0 or more");
                price
            })
        };
        let (min_price, max_price) =
            (price(&mut valid, "/min_price", &self.min_price), price(&mut valid, "/max_price", &self.max_price));
        if let (Some(min), Some(max)) = (min_price, max_price) {
            valid.check("/max_price", min <= max, "must not be below min_price");
        }
        let in_stock = match present(&self.in_stock) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                valid.error("/in_stock", "must be true or false");
                false
            }
        };
        let sort = match present(&self.sort) {
            None | Some("relevance") => BookSort::Relevance,
            Some("newest") => BookSort::Newest,
            Some("price") => BookSort::Price,
            Some("-price") => BookSort::PriceDescending,
            Some("rating") => BookSort::Rating,
            Some("title") => BookSort::Title,
            Some(_) => {
                valid.error("/sort", "must be one of relevance, newest, price, -price, rating, title");
                BookSort::Relevance
            }
        };
        let filter = Filter { subject, author, publisher, language, min_price, max_price, in_stock, words: None };
        valid.finish()?;
        Ok(Listing { filter, sort, limit, after: None })
    }
}

/// The text of a parameter, unless it is blank.
pub(crate) fn present(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

impl Listing {
    /// The same for two requests that ask for the same, however they spell it.
    pub(crate) fn key(&self, what: &str) -> String {
        format!("{what} {:?} {:?} {} {:?}", self.filter, self.sort, self.limit, self.after)
    }

    /// The books of the page, and the cursor of the next.
    pub(crate) async fn read(&self, catalog: &Arc<Catalog>) -> Result<(Vec<Listed>, Option<String>)> {
        let limit = self.limit as i64 + 1;
        let rows = find::page(catalog.db.read(), &self.filter, self.sort, self.after.as_ref(), limit).await?;
        Ok(cursor::page(rows, self.limit, |last| last.position(self.sort)))
    }
}

/// Books, narrowed and sorted.
#[utoipa::path(get, path = "/books", tag = "catalog", params(BookParams),
    responses(
        (status = 200, body = Page<Book>, description = "One page"),
        (status = 400, body = ProblemBody, description = "`validation_failed` naming the parameter, or `invalid_cursor`"),
    ))]
pub(crate) async fn list_books(
    State(catalog): State<Arc<Catalog>>,
    ApiQuery(params): ApiQuery<BookParams>,
) -> Result<Response> {
    let listing = params.check()?;
    let found = catalog.cache.list(listing.key("books"), async {
        let (rows, next) = listing.read(&catalog).await?;
        let items = rows.into_iter().map(|found| found.book.into_book()).collect::<Result<Vec<Book>, _>>()?;
        answer(0, &Page { items, next })
    });
    Ok(send(found.await?))
}
