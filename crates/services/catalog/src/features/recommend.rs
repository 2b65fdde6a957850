use std::{collections::HashSet, sync::Arc};

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{RecommendationBasis, Recommendations};
use bookworm_http::{ApiQuery, PageParams, ProblemBody, Result, auth::Caller};
use bookworm_kernel::{BookId, CustomerId};
use bookworm_search::{Filter, Index, Meaning, Request, SearchError};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{fresh, similar_books::show};
use crate::{service::Catalog, store::shoppers};

/// Books that a customer's taste is taken from at most.
const SEEDS: usize = 40;
/// What a purchase counts, of which a view counts 1.
const PURCHASE: f32 = 3.0;
/// What an older book counts of the next younger one.
const FADE: f32 = 0.93;
/// Without vectors: how many of the seeds are asked for books like them.
const ASKED: usize = 6;

#[derive(Serialize)]
struct Shown {
    items: Vec<Arc<RawValue>>,
    basis: RecommendationBasis,
}

/// Books for whoever asks.
///
/// For a customer who is signed in, from what they bought and looked at, without what they own; for everybody else, and
/// before the first book, what sells; and before the first sale, some of what is on sale.
#[utoipa::path(get, path = "/recommendations", tag = "catalog",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "20 when left out")),
    responses(
        (status = 200, body = Recommendations, description = "Best first"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/limit`"),
    ))]
pub(crate) async fn recommend(
    State(catalog): State<Arc<Catalog>>,
    caller: Caller,
    ApiQuery(params): ApiQuery<PageParams>,
) -> Result<Response> {
    let limit = params.limit()?;
    if let Some(customer) = caller.id() {
        let ids = for_customer(&catalog, customer, limit).await?;
        let (items, shown) = show(&catalog, &ids).await?;
        if !items.is_empty() {
            return fresh(&Shown { items, basis: RecommendationBasis::Yours }, shown);
        }
    }
    let ids = shoppers::best_sellers(catalog.db.read(), limit as i64).await?;
    let (items, shown) = show(&catalog, &ids).await?;
    if !items.is_empty() {
        return fresh(&Shown { items, basis: RecommendationBasis::Popular }, shown);
    }
    let ids = shoppers::on_sale(catalog.db.read(), limit as i64).await?;
    let (items, shown) = show(&catalog, &ids).await?;
    fresh(&Shown { items, basis: RecommendationBasis::Shelf }, shown)
}

/// Books near to what the customer bought and looked at; none when that is nothing, or there is no index.
async fn for_customer(catalog: &Arc<Catalog>, customer: CustomerId, limit: usize) -> Result<Vec<BookId>> {
    let db = catalog.db.read();
    let (bought, viewed) = futures::try_join!(shoppers::purchases(db, customer), shoppers::views(db, customer))?;
    if (bought.is_empty() && viewed.is_empty()) || !catalog.search.is_whole() {
        return Ok(Vec::new());
    }
    let known: HashSet<Uuid> = bought.iter().chain(&viewed).map(|book| book.uuid()).collect();
    let weighed = |books: Vec<BookId>, weight: f32| {
        let mut weight = weight;
        books.into_iter().take(SEEDS / 2).map(move |book| {
            let own = weight;
            weight *= FADE;
            (book.uuid(), own)
        })
    };
    let seeds: Vec<(Uuid, f32)> = weighed(bought, PURCHASE).chain(weighed(viewed, 1.0)).collect();
    let found = catalog.search.ask(move |index| near(index, &seeds, &known, limit)).await.unwrap_or_default();
    Ok(found.into_iter().map(BookId::from_uuid).collect())
}

/// The nearest to the weighted mean of the seeds' vectors; without vectors, what is like the heaviest of them.
fn near(index: &Index, seeds: &[(Uuid, f32)], known: &HashSet<Uuid>, limit: usize) -> Result<Vec<Uuid>, SearchError> {
    let not_known = vec![Filter::Not(Box::new(Filter::Ids(known.iter().copied().collect())))];
    let mut mean: Vec<f32> = Vec::new();
    for (book, weight) in seeds {
        if let Some(vector) = index.vector(*book)? {
            mean.resize(vector.len(), 0.0);
            mean.iter_mut().zip(vector).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    if mean.iter().any(|value| *value != 0.0) {
        let meaning = Meaning { candidates: limit.max(100), ..Meaning::new(mean) };
        let request = Request { meaning: Some(meaning), filters: not_known, limit, ..Request::default() };
        return Ok(index.search(&request)?.hits.into_iter().map(|hit| hit.id).collect());
    }
    let mut seeds = seeds.to_vec();
    seeds.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut scores: Vec<(Uuid, f32)> = Vec::new();
    for (book, weight) in seeds.into_iter().take(ASKED) {
        for like in index.more_like(book, limit, &not_known)? {
            match scores.iter_mut().find(|(id, _)| *id == like.id) {
                Some((_, score)) => *score += weight * like.score,
                None => scores.push((like.id, weight * like.score)),
            }
        }
    }
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(scores.into_iter().take(limit).map(|(id, _)| id).collect())
}
