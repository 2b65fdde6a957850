use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::rating::{ReviewPage, ReviewSort, StarCount};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, ApiQuery, Origin, PageParams, Problem, Result, Validator, cursor, openapi::ProblemResponses,
};
use bookworm_kernel::{BookId, Language};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{shown, shown::Viewer};
use crate::{
    clients,
    domain::Stars,
    service::Ratings,
    store::list::{self, Order, Place},
};

/// Said beside the reviews: the law of the EU asks how a shop makes sure that they come from buyers (directive
/// 2005/29/EC, article 7, 6).
const CHECKED: &str = "A review is marked “Verified purchase” when its author’s account has a completed order with this \
    book. Reviews without one are read by our staff before they appear. Good and bad reviews are treated alike, and \
    nobody is paid for one.";

/// Which reviews.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Query {
    /// How they are sorted; `helpful` when left out.
    #[serde(default)]
    #[param(inline)]
    sort: Option<ReviewSort>,
    /// Only those with so many stars, 1 to 5; half a star counts as the whole that it begins.
    #[serde(default)]
    #[param(minimum = 1, maximum = 5)]
    stars: Option<u8>,
    /// Only those of buyers, or only the others.
    #[serde(default)]
    verified: Option<bool>,
    /// Only those in this language, by any code of ISO 639 or by name.
    #[serde(default)]
    language: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    page: PageParams,
}

/// Where a page begins. A cursor of one order means nothing in another.
#[derive(Serialize, Deserialize)]
struct Key(ReviewSort, Place);

/// What readers think of a book
///
/// Published reviews, with their number, plain mean and distribution of stars. Ratings that came with an import are not
/// among them.
#[utoipa::path(
    get, path = "/books/{id}/reviews", tag = "rating",
    params(("id" = BookId, Path, description = "The book"), Query, PageParams),
    responses((status = 200, description = "A page of reviews", body = ReviewPage), ProblemResponses)
)]
pub(crate) async fn list_reviews(
    State(service): State<Arc<Ratings>>,
    Origin(cause): Origin,
    ApiPath(book): ApiPath<BookId>,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<ApiJson<ReviewPage>> {
    let mut valid = Validator::new();
    valid.check("/stars", query.stars.is_none_or(|stars| (1..=5).contains(&stars)), "must be 1 to 5");
    let language = query.language.as_deref().and_then(|name| valid.take("/language", Language::parse(name)));
    valid.finish()?;
    let sort = query.sort.unwrap_or_default();
    let (limit, after) = (query.page.limit()?, query.page.after::<Key>()?);
    let after = match after {
        Some(Key(of, place)) if of == sort => Some(place),
        Some(_) => {
            return Err(Problem::new(bookworm_kernel::ErrorCode::InvalidCursor)
                .detail("This cursor belongs to a list that is sorted otherwise."));
        }
        None => None,
    };
    let counts = list::counts(service.db.read(), book).await?;
    if counts.is_empty() && !clients::sells(&service.catalog, &cause, book).await? {
        return Err(Problem::not_found("book"));
    }
    let order = match sort {
        ReviewSort::Helpful => Order::Helpful,
        ReviewSort::Newest => Order::Newest,
        ReviewSort::Highest => Order::Highest,
        ReviewSort::Lowest => Order::Lowest,
    };
    let filter = list::Filter {
        stars: query.stars.map(Stars::halves_of),
        verified: query.verified,
        language: language.map(|language| language.tag().to_owned()),
    };
    let rows = list::of_book(service.db.read(), book, filter, order, after, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| Key(sort, order.place(row)));
    let shown = rows.into_iter().map(|row| shown::review(row, Viewer::Stranger));
    let (count, average, distribution) = summary(&counts);
    Ok(ApiJson(ReviewPage {
        items: shown.collect::<Result<_, DbError>>()?,
        next,
        count,
        average,
        distribution,
        checked: CHECKED.to_owned(),
    }))
}

/// How many there are, their plain mean to two digits, and how many give 5 to 1 stars.
fn summary(counts: &[list::Count]) -> (i64, f64, Vec<StarCount>) {
    let count: i64 = counts.iter().map(|one| one.count).sum();
    let halves: i64 = counts.iter().map(|one| one.stars * one.count).sum();
    let average = if count == 0 { 0.0 } else { (halves as f64 * 50.0 / count as f64).round() / 100.0 };
    let of = |stars| {
        let steps = Stars::halves_of(stars);
        counts.iter().filter(|one| steps.contains(&one.stars)).map(|one| one.count).sum()
    };
    (count, average, (1..=5).rev().map(|stars| StarCount { stars, count: of(stars) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_adds_up() {
        let count = |stars, count| list::Count { stars, count };
        let (all, average, distribution) = summary(&[count(10, 2), count(9, 1), count(1, 1)]);
        let distribution: Vec<_> = distribution.iter().map(|one| (one.stars, one.count)).collect();
        assert_eq!((all, average), (4, 3.75));
        assert_eq!(distribution, [(5, 3), (4, 0), (3, 0), (2, 0), (1, 1)]);
        assert_eq!(summary(&[]).1, 0.0);
    }
}
