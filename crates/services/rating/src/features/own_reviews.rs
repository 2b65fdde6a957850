use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::{Page, rating::Review};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, ApiQuery, PageParams, Result, auth::Signed, cursor, openapi::ProblemResponses};
use bookworm_kernel::BookId;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{shown, shown::Viewer};
use crate::{service::Ratings, store::list};

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// Only the one of this book.
    #[serde(default)]
    book_id: Option<BookId>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// The account's own reviews, latest first, each with where it stands
#[utoipa::path(
    get, path = "/reviews", tag = "rating", params(Query, PageParams),
    responses((status = 200, description = "A page of reviews", body = Page<Review>), ProblemResponses),
    security(("bearer" = []))
)]
pub(crate) async fn own_reviews(
    State(service): State<Arc<Ratings>>,
    Signed(account): Signed,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<ApiJson<Page<Review>>> {
    let (limit, before) = (query.page.limit()?, query.page.after::<Uuid>()?);
    let rows = list::of_author(service.db.read(), account.id, query.book_id, before, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| row.id);
    let shown = rows.into_iter().map(|row| shown::review(row, Viewer::Account(account.id)));
    Ok(ApiJson(Page { items: shown.collect::<Result<_, DbError>>()?, next }))
}
