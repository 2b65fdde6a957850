use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::rating::{LanguageCount, Review, ReviewPage, ReviewSort, StarCount};
use bookworm_db::DbError;
use bookworm_http::{
    ApiJson, ApiPath, ApiQuery, Origin, PageParams, Problem, Result, Validator, auth::Caller, cursor,
    openapi::ProblemResponses,
};
use bookworm_kernel::{BookId, CustomerId, Language};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{shown, shown::Viewer, summarize};
use crate::{
    clients,
    domain::Stars,
    service::Ratings,
    store::{
        list::{self, Order, Place},
        tallies, votes,
    },
};

/// Said beside the reviews: the law of the EU asks how a shop makes sure that they come from buyers (directive
/// 2005/29/EC, article 7, 6).
const CHECKED: &str = "A review is marked “Verified purchase” when its author has a completed order with this book, on \
    their account or by the link that we email to its buyer. The mark stays if the order is refunded later: its author had \
    the book. Reviews without one are read by our staff before they appear. Good and bad reviews are treated alike, and \
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
    caller: Caller,
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
    let is_whole = after.is_none() && query.stars.is_none() && query.verified.is_none() && query.language.is_none();
    let tally = tallies::of(service.db.read(), book).await?;
    if tally.count() == 0 && !clients::sells(&service.catalog, &cause, book).await? {
        return Err(Problem::not_found("book"));
    }
    let filter = list::Filter {
        stars: query.stars.map(Stars::halves_of),
        verified: query.verified,
        language: language.map(|language| language.tag().to_owned()),
    };
    // Most books of a shop have none: their page costs one look.
    let listed = match tally.count() {
        0 => Listed::default(),
        _ => Listed::read(&service, book, filter, sort, after, limit, caller.id()).await?,
    };
    let summary = match is_whole && tally.count() > 0 {
        true => summarize::shown(&service, book).await?,
        false => None,
    };
    let distribution = (1..=5).zip(tally.distribution()).rev().map(|(stars, count)| StarCount { stars, count });
    Ok(ApiJson(ReviewPage {
        items: listed.items,
        next: listed.next,
        count: tally.count(),
        average: tally.average_hundredths() as f64 / 100.0,
        distribution: distribution.collect(),
        languages: listed.languages,
        checked: CHECKED.to_owned(),
        summary,
    }))
}

/// A page of reviews, and the languages of all.
#[derive(Default)]
struct Listed {
    items: Vec<Review>,
    next: Option<String>,
    languages: Vec<LanguageCount>,
}

impl Listed {
    async fn read(
        service: &Ratings,
        book: BookId,
        filter: list::Filter,
        sort: ReviewSort,
        after: Option<Place>,
        limit: usize,
        reader: Option<CustomerId>,
    ) -> Result<Self> {
        let db = service.db.read();
        let order = match sort {
            ReviewSort::Helpful => Order::Helpful,
            ReviewSort::Newest => Order::Newest,
            ReviewSort::Highest => Order::Highest,
            ReviewSort::Lowest => Order::Lowest,
        };
        let rows = list::of_book(db, book, filter, order, after, limit + 1).await?;
        let (rows, next) = cursor::page(rows, limit, |row| Key(sort, order.place(row)));
        let mut items =
            rows.into_iter().map(|row| shown::review(row, Viewer::Stranger)).collect::<Result<Vec<_>, DbError>>()?;
        if let Some(account) = reader {
            let ids: Vec<_> = items.iter().map(|review| review.id).collect();
            let voted = votes::of_account(db, account, &ids).await?;
            items.iter_mut().for_each(|review| review.found_helpful = Some(voted.contains(&review.id)));
        }
        let languages = list::languages(db, book).await?.into_iter();
        let languages = languages.map(|one| LanguageCount { language: one.language, count: one.count }).collect();
        Ok(Self { items, next, languages })
    }
}
