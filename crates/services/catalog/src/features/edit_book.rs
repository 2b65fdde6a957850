use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::catalog::{Book, BookInput};
use bookworm_db::Tx;
use bookworm_http::{
    ApiJson, ApiPath, IfMatch, Origin, Problem, ProblemBody, Result, Validator, auth::StaffOnly, etag,
};
use bookworm_kernel::{BookId, Cause, Currency, ErrorCode, FieldError, Isbn13, Money, UnknownLanguage};
use http::{StatusCode, header};

use crate::{
    domain::{Draft, Rating, draft},
    service::Catalog,
    store::books::{self, Names, Placed},
};

/// Checks what staff sent. Returns the draft, and the copies in the house when they were given.
fn check(input: BookInput, currency: Currency) -> Result<(Draft, Option<i64>)> {
    let mut valid = Validator::new();
    let title = valid.text("/title", &input.title, 1..=draft::TITLE);
    let mut list = |field: &str, names: Vec<String>, chars: usize| {
        valid.check(field, names.len() <= draft::NAMES, format!("must be at most {} names", draft::NAMES));
        let names = names.iter().take(draft::NAMES).enumerate();
        draft::distinct(names.map(|(i, name)| valid.text(&format!("{field}/{i}"), name, 1..=chars)).collect())
    };
    let authors = draft::distinct_authors(list("/authors", input.authors, draft::NAME));
    let subjects = list("/subjects", input.subjects, draft::SUBJECT);
    let isbn13 = input.isbn13.as_deref().filter(|text| !text.trim().is_empty());
    let isbn13 = isbn13.and_then(|text| valid.take("/isbn13", Isbn13::parse(text)));
    let language = input.language.as_deref().filter(|text| !text.trim().is_empty()).and_then(|text| {
        let code = draft::language(text);
        valid.check("/language", code.is_some(), UnknownLanguage.to_string());
        code
    });
    let (year, pages) = (input.year.map(i64::from), input.pages.map(i64::from));
    valid.check("/year", year.is_none_or(|year| draft::YEARS.contains(&year)), "must be between -5000 and 3000");
    valid.check("/pages", pages.is_none_or(|pages| draft::PAGES.contains(&pages)), "must be between 1 and 100000");
    let mut amount = |field: &str, money: Money| {
        valid.check(
            &format!("{field}/amount"),
            (0..=draft::PRICE).contains(&money.amount),
            format!("must be between 0 and {}", draft::PRICE),
        );
        valid.check(
            &format!("{field}/currency"),
            money.currency == currency,
            format!("must be {currency}, the shop's currency"),
        );
        money.amount
    };
    let price = input.price.map(|price| amount("/price", price));
    let list_price = input.list_price.map(|price| amount("/list_price", price));
    let for_sale = input.for_sale.unwrap_or(true);
    valid.check("/price", price.is_some() || !for_sale, "must be given, unless for_sale is false");
    if let (Some(price), Some(list_price)) = (price, list_price) {
        valid.check("/list_price/amount", list_price > price, "must be higher than the price");
    }
    if let Some(stock) = input.stock {
        valid.check("/stock", (0..=draft::COPIES).contains(&stock), format!("must be between 0 and {}", draft::COPIES));
    }
    let series_position = input.series_position.map(|position| (position * 100.0).round());
    let positions = 0.0..=draft::SERIES_POSITION as f64;
    let is_whole =
        input.series_position.zip(series_position).is_none_or(|(given, kept)| (given * 100.0 - kept).abs() < 1e-6);
    valid.check(
        "/series_position",
        series_position.is_none_or(|position| positions.contains(&position)) && is_whole,
        "must be between 0 and 150, with at most two decimals",
    );
    valid.check(
        "/series_position",
        series_position.is_none() || input.series.is_some(),
        "must not be given without a series",
    );
    let series_position = series_position.map(|position| position as i64);
    let draft = Draft {
        publisher: valid.optional_text("/publisher", input.publisher.as_deref(), 1..=draft::NAME),
        series_position,
        series: valid.optional_text("/series", input.series.as_deref(), 1..=draft::SERIES),
        description: valid.optional_multiline("/description", input.description.as_deref(), 1..=draft::DESCRIPTION),
        source_id: valid.optional_text("/source_id", input.source_id.as_deref(), 1..=draft::SOURCE_ID),
        title,
        authors,
        subjects,
        isbn13,
        year,
        language,
        pages,
        price: price.unwrap_or_default(),
        list_price,
        for_sale,
    };
    valid.finish()?;
    Ok((draft, input.stock))
}

fn taken(field: &str) -> Problem {
    Problem::new(ErrorCode::DuplicateValue).field(FieldError::new(field, "belongs to another book"))
}

/// Refuses what another book has.
async fn check_unique(tx: &Tx, draft: &Draft, own: Option<BookId>) -> Result<()> {
    if let Some(isbn) = draft.isbn13
        && books::by_isbn(tx, isbn).await?.is_some_and(|other| Some(other) != own)
    {
        return Err(taken("/isbn13"));
    }
    if let Some(source_id) = &draft.source_id
        && books::by_source(tx, source_id).await?.is_some_and(|other| Some(other) != own)
    {
        return Err(taken("/source_id"));
    }
    Ok(())
}

/// Two who add the same at once both pass [`check_unique`]; the index then refuses one.
fn or_taken(error: bookworm_db::DbError) -> Problem {
    if error.is_unique_violation() { Problem::new(ErrorCode::DuplicateValue) } else { error.into() }
}

async fn place(tx: &Tx, id: BookId, version: i64, draft: Draft, rating: Rating) -> Result<Placed> {
    let names = Names::default().resolve(tx, std::iter::once(&draft)).await?;
    Ok(Placed::new(id, version, draft, rating, &[&names])?)
}

async fn stored(tx: &Tx, id: BookId) -> Result<Book> {
    let row = books::by_id(tx, id).await?.ok_or_else(|| Problem::not_found("book"))?;
    Ok(row.into_book()?)
}

/// Adds a book. Authors, publishers and subjects that are not known yet are made.
#[utoipa::path(post, path = "/books", tag = "catalog", request_body = BookInput,
    responses(
        (status = 201, body = Book, description = "Added; its address is in `Location`"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with every field that is not valid"),
        (status = 409, body = ProblemBody, description = "`duplicate_value`: another book has this ISBN or source id"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn create_book(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    Origin(cause): Origin,
    ApiJson(input): ApiJson<BookInput>,
) -> Result<Response> {
    let (draft, stock) = check(input, catalog.currency)?;
    let service = catalog.clone();
    let book = catalog.db.transact(move |tx| {
        Box::pin(async move {
            check_unique(tx, &draft, None).await?;
            let placed = place(tx, BookId::new(), 1, draft, Rating::default()).await?;
            let (id, now) = (placed.id, service.clock.now());
            books::create(tx, &[(placed, stock.unwrap_or(0))], service.currency, now).await.map_err(or_taken)?;
            changed(&service, tx, &cause, id, 1, false).await?;
            stored(tx, id).await
        })
    });
    let book: Book = book.await?;
    let location = format!("/api/v1/books/{}", book.id);
    let headers = [(header::LOCATION, location), (header::ETAG, format!("\"{}\"", book.version))];
    Ok((StatusCode::CREATED, headers, ApiJson(book)).into_response())
}

/// Replaces what is known of a book.
///
/// The stock stays: change it with an adjustment. `source_id` stays when left out.
#[utoipa::path(put, path = "/books/{id}", tag = "catalog", request_body = BookInput,
    params(("id" = BookId, Path, description = "The book"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
    responses(
        (status = 200, body = Book, description = "The book as it is now"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with every field that is not valid"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`duplicate_value`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn update_book(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<BookId>,
    if_match: IfMatch,
    ApiJson(input): ApiJson<BookInput>,
) -> Result<Response> {
    let (mut draft, stock) = check(input, catalog.currency)?;
    if stock.is_some() {
        let message = "is for a new book only; use /books/{id}/stock/adjustments";
        return Err(Problem::validation(vec![FieldError::new("/stock", message)]));
    }
    let service = catalog.clone();
    let book = catalog.db.transact(move |tx| {
        Box::pin(async move {
            let old = books::by_id(tx, id).await?.ok_or_else(|| Problem::not_found("book"))?;
            if_match.check(old.version)?;
            draft.source_id = draft.source_id.or_else(|| old.source_id.clone());
            check_unique(tx, &draft, Some(id)).await?;
            let placed = place(tx, id, old.version + 1, draft, old.imported_rating()).await?;
            if !books::update(tx, &[&placed], service.clock.now()).await.map_err(or_taken)? {
                return Err(Problem::new(ErrorCode::EditConflict));
            }
            changed(&service, tx, &cause, id, placed.version, false).await?;
            stored(tx, id).await
        })
    });
    let book: Book = book.await?;
    Ok(([(header::ETAG, etag(book.version))], ApiJson(book)).into_response())
}

/// Takes a book from sale. Orders that have it can still be read.
#[utoipa::path(delete, path = "/books/{id}", tag = "catalog",
    params(("id" = BookId, Path, description = "The book")),
    responses(
        (status = 204, description = "No longer sold"),
        (status = 404, body = ProblemBody, description = "`not_found`"),
        (status = 409, body = ProblemBody, description = "`concurrent_change`: somebody edited it at the same moment"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn delete_book(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    Origin(cause): Origin,
    ApiPath(id): ApiPath<BookId>,
) -> Result<StatusCode> {
    let service = catalog.clone();
    let deleted = catalog.db.transact(move |tx| {
        Box::pin(async move {
            let old = books::by_id(tx, id).await?.ok_or_else(|| Problem::not_found("book"))?;
            if !books::delete(tx, id, old.version, service.clock.now()).await? {
                return Err(Problem::new(ErrorCode::ConcurrentChange));
            }
            changed(&service, tx, &cause, id, old.version + 1, true).await
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn changed(
    catalog: &Arc<Catalog>,
    tx: &Tx,
    cause: &Cause,
    id: BookId,
    version: i64,
    deleted: bool,
) -> Result<()> {
    catalog.publish_changed(tx, cause, id, version, deleted).await?;
    catalog.changed_with(tx, vec![id]);
    catalog.search_changed(tx, &[id]).await?;
    Ok(())
}
