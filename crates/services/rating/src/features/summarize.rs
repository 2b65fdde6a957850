//! What readers praise and miss, from their own sentences, built anew when the reviews of a book have changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bookworm_contracts::{
    grpc::{
        Edge,
        ai::Purpose,
        vectors::{self, NoVectors, Vectors},
    },
    rest::rating::{ReviewPoint, ReviewSentence, ReviewSummary},
};
use bookworm_db::DbError;
use bookworm_kernel::{BookId, Cause};
use bookworm_loops::Loop;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::summary::{FROM, PRAISE, Point, Poles, REGRET, Said, Summary, sentences, summarize},
    service::Ratings,
    store::summaries::{self, Stale, Text},
};

/// How often to look for changed reviews.
const EVERY: Duration = Duration::from_secs(10);
/// How many books are looked up at once.
const BATCH: i64 = 50;
/// The latest reviews and the most sentences that are read. More would not say anything else.
const REVIEWS: i64 = 200;
const SENTENCES: usize = 300;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SummaryError {
    #[error(transparent)]
    NoVectors(#[from] NoVectors),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the work was given up")]
    GivenUp,
}

/// Builds what is out of date, until the process ends. While no model answers, the summaries that there are stay.
pub(crate) fn regularly(service: Arc<Ratings>, model: Edge) -> Loop {
    Loop::new("rating.summaries", move |stop| {
        let (service, model) = (service.clone(), model.clone());
        async move {
            while !stop.is_cancelled() {
                match stale(&service, &model, &stop).await {
                    Ok(_) => {}
                    // That the model is away is said by whoever asks it while customers wait.
                    Err(SummaryError::NoVectors(error)) => {
                        tracing::debug!(%error, "summaries of reviews wait for a model");
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "summaries of reviews wait");
                    }
                }
                stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
            }
        }
    })
    .leader_only()
}

/// Builds the summary of every book whose reviews have changed, until `stop`. Returns how many. A book whose summary cannot
/// be built does not stand in the way of the others.
pub(crate) async fn stale(service: &Ratings, model: &Edge, stop: &CancellationToken) -> Result<usize, SummaryError> {
    let (mut built, mut after, mut poles) = (0, None, None);
    loop {
        let books = summaries::stale(service.db.read(), after, BATCH).await?;
        let Some(last) = books.last() else { return Ok(built) };
        after = Some(last.book);
        for book in books {
            if stop.is_cancelled() {
                return Ok(built);
            }
            match build(service, model, book, &mut poles).await {
                Ok(summary) => {
                    summaries::put(&service.db, book, &summary, service.now()).await?;
                    metrics::counter!("rating_summaries_total").increment(1);
                    built += 1;
                }
                Err(error @ (SummaryError::Db(DbError::Corrupt(_)) | SummaryError::GivenUp)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(book = %book.book, error, "the reviews of a book cannot be summarised");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The vectors of [`PRAISE`] and [`REGRET`], and the name of their model.
struct OfPoles {
    model: String,
    praise: Vec<Vec<f32>>,
    regret: Vec<Vec<f32>>,
}

async fn poles(model: &Edge, cause: &Cause) -> Result<OfPoles, NoVectors> {
    let texts: Vec<String> = PRAISE.into_iter().chain(REGRET).map(str::to_owned).collect();
    let mut all = vectors::of_texts(model, &texts, Purpose::Background, cause).await?;
    let regret = all.vectors.split_off(PRAISE.len());
    Ok(OfPoles { model: all.model, praise: all.vectors, regret })
}

async fn build(
    service: &Ratings,
    model: &Edge,
    book: Stale,
    poles_known: &mut Option<Arc<OfPoles>>,
) -> Result<Summary, SummaryError> {
    let reviews = in_main_language(summaries::texts(service.db.read(), book.book, REVIEWS).await?);
    if reviews.len() < FROM {
        return Ok(Summary::default());
    }
    let said: Vec<Said> = reviews.iter().flat_map(said).take(SENTENCES).collect();
    let cause = Cause::start();
    let (said, vectors) = embedded(model, said, &cause).await?;
    if said.is_empty() {
        return Ok(Summary::default());
    }
    let known = match poles_known.take().filter(|known| known.model == vectors.model) {
        Some(known) => known,
        None => Arc::new(poles(model, &cause).await?),
    };
    if known.model != vectors.model {
        return Err(NoVectors::Changed(vectors.model, known.model.clone()).into());
    }
    *poles_known = Some(known.clone());
    // Each sentence is compared with each.
    let work = move || summarize(&said, &vectors.vectors, &Poles { praise: &known.praise, regret: &known.regret });
    tokio::task::spawn_blocking(work).await.map_err(|_| SummaryError::GivenUp)
}

/// The sentences with their vectors; without those that the model does not take.
async fn embedded(model: &Edge, said: Vec<Said>, cause: &Cause) -> Result<(Vec<Said>, Vectors), NoVectors> {
    let texts: Vec<String> = said.iter().map(|one| one.text.clone()).collect();
    match vectors::of_texts(model, &texts, Purpose::Background, cause).await {
        Ok(vectors) => return Ok((said, vectors)),
        Err(error) if error.is_about_texts() => tracing::debug!(%error, "a sentence of a review has no vector"),
        Err(error) => return Err(error),
    }
    let (mut taken, mut all) = (Vec::new(), Vectors { model: String::new(), vectors: Vec::new() });
    for one in said {
        match vectors::of_texts(model, std::slice::from_ref(&one.text), Purpose::Background, cause).await {
            Ok(vectors) if all.vectors.is_empty() || all.model == vectors.model => {
                all.model = vectors.model;
                all.vectors.extend(vectors.vectors);
                taken.push(one);
            }
            Ok(vectors) => return Err(NoVectors::Changed(all.model, vectors.model)),
            Err(error) if error.is_about_texts() => {}
            Err(error) => return Err(error),
        }
    }
    Ok((taken, all))
}

fn said(review: &Text) -> impl Iterator<Item = Said> {
    sentences(&review.text).map(|text| Said { review: review.id, halves: review.stars, text: text.to_owned() })
}

/// The reviews in the language that most are in, and those that name none: a summary mixes no languages.
fn in_main_language(mut reviews: Vec<Text>) -> Vec<Text> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    reviews.iter().filter_map(|review| review.language.as_deref()).for_each(|tag| *counts.entry(tag).or_default() += 1);
    let main = counts.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a))).map(|(tag, _)| tag.to_owned());
    reviews.retain(|review| review.language.is_none() || review.language == main);
    reviews
}

/// The summary of a book with who wrote what. A sentence whose review is gone, hidden or says something else by now is
/// left out, whatever the summary still says: words that were taken back are not shown for a moment longer.
pub(super) async fn shown(service: &Ratings, book: BookId) -> Result<Option<ReviewSummary>, DbError> {
    let Some(summary) = summaries::of(service.db.read(), book).await? else { return Ok(None) };
    let quoted = summary.praised.iter().chain(&summary.missed).flatten().map(|sentence| sentence.review);
    let texts = summaries::texts_of(service.db.read(), quoted.collect()).await?;
    let reviews: HashMap<Uuid, Text> = texts.into_iter().map(|text| (text.id, text)).collect();
    let point = |point: Point| {
        let sentences = point.into_iter().filter_map(|sentence| {
            let review = reviews.get(&sentence.review).filter(|review| review.text.contains(&sentence.text))?;
            Some(ReviewSentence {
                review_id: sentence.review,
                author: review.author_name.clone(),
                rating: review.stars as f64 / 2.0,
                text: sentence.text,
            })
        });
        Some(ReviewPoint { sentences: sentences.collect() }).filter(|point| !point.sentences.is_empty())
    };
    let points = |points: Vec<Point>| points.into_iter().filter_map(point).collect::<Vec<_>>();
    let summary = ReviewSummary { praised: points(summary.praised), missed: points(summary.missed) };
    Ok(Some(summary).filter(|summary| !(summary.praised.is_empty() && summary.missed.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_mixes_no_languages() {
        let text = |n: u128, language: Option<&str>| Text {
            id: Uuid::from_u128(n),
            author_name: String::new(),
            stars: 10,
            text: String::new(),
            language: language.map(str::to_owned),
        };
        let reviews = vec![text(1, Some("de")), text(2, Some("en")), text(3, None), text(4, Some("en"))];
        let kept: Vec<_> = in_main_language(reviews).iter().map(|one| one.id.as_u128()).collect();
        assert_eq!(kept, [2, 3, 4]);
        assert_eq!(in_main_language(vec![text(1, None)]).len(), 1);
    }
}
