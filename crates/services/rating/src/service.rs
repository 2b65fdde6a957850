//! What every use case of the rating role shares.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::{
    events::rating::BookRated,
    grpc::{Edge, catalog::catalog_client::CatalogClient},
};
use bookworm_db::{Db, DbError, Tx};
use bookworm_eventstore::{Aggregate, AppendError, Loaded};
use bookworm_http::{IfMatch, Problem, Result};
use bookworm_kernel::{BookId, Cause, Clock, CustomerId, ErrorCode, Timestamp};
use bookworm_messaging::{Outbox, ReactionError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domain::{InvitationRules, Refused, Review, ReviewEvent, Status},
    store::{
        readers,
        reviews::{self, Row},
        summaries, tallies,
    },
};

/// The most changes that an account makes in a day: reviews, votes, reports, appeals.
pub(crate) const MOST_CHANGES: (i64, Duration) = (100, Duration::from_secs(24 * 60 * 60));

/// Everything that requests and reactions share.
pub(crate) struct Ratings {
    pub db: Db,
    pub outbox: Outbox,
    pub clock: Arc<dyn Clock>,
    pub catalog: CatalogClient<Edge>,
    pub model: Option<Edge>,
    pub invitations: InvitationRules,
}

/// Who does something to a review; stored beside its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    Author(CustomerId),
    Staff(CustomerId),
    Shop,
}

impl Actor {
    fn noted(self) -> Value {
        match self {
            Self::Author(account) => json!({"by": "author", "account": account}),
            Self::Staff(account) => json!({"by": "staff", "account": account}),
            Self::Shop => json!({"by": "shop"}),
        }
    }
}

/// Why a unit of work on a review was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What the API answers.
    #[error("{}", .0.code())]
    Problem(Problem),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<Problem> for WorkError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Refused(refused) => Self::new(ErrorCode::InvalidReviewState).detail(refused.to_string()),
            WorkError::Problem(problem) => problem,
            WorkError::Db(error) => error.into(),
        }
    }
}

impl From<WorkError> for ReactionError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Db(error) => error.into(),
            other => Self::refuse(other.to_string()),
        }
    }
}

/// A change of one review.
pub(crate) struct Change {
    pub id: Uuid,
    pub by: Actor,
    pub cause: Cause,
    /// The version that is changed; `None`: whichever there is.
    pub if_match: Option<IfMatch>,
}

impl Ratings {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes a review that is there. `rule` changes the row and returns what happened. An author changes only their
    /// own, and each change of theirs counts.
    pub async fn change<F>(&self, change: Change, rule: F) -> Result<Row>
    where
        F: FnOnce(&mut Row, &Review) -> Result<Vec<ReviewEvent>, WorkError> + Send + 'static,
    {
        let (now, outbox) = (self.now(), self.outbox.clone());
        let changed = self.db.transact::<_, WorkError, _>(move |tx| {
            Box::pin(async move {
                let mut work = Work::begin(tx, change, now).await?;
                let events = rule(&mut work.row, &work.review.state)?;
                work.record(tx, &outbox, &events).await?;
                Ok(work.row)
            })
        });
        Ok(changed.await?)
    }
}

/// Counts a change that an account makes.
///
/// # Errors
/// 429 `too_many_requests` after [`MOST_CHANGES`].
pub(crate) async fn count_change(tx: &Tx, account: CustomerId, now: Timestamp) -> Result<(), WorkError> {
    match readers::count(tx, account, MOST_CHANGES, now).await? {
        Ok(()) => Ok(()),
        Err(wait) => Err(Problem::new(ErrorCode::TooManyRequests)
            .detail(format!("An account makes at most {} changes to reviews in 24 hours.", MOST_CHANGES.0))
            .retry_after(wait)
            .into()),
    }
}

/// One review within one unit of work, locked: its row and its events change together.
pub(crate) struct Work {
    pub row: Row,
    pub review: Loaded<Review>,
    by: Actor,
    cause: Cause,
    now: Timestamp,
}

impl Work {
    /// On a review that is there, and that whoever changes it may see.
    pub async fn begin(tx: &Tx, change: Change, now: Timestamp) -> Result<Self, WorkError> {
        let Change { id, by, cause, if_match } = change;
        if let Actor::Author(author) = by {
            count_change(tx, author, now).await?;
        }
        let row = reviews::lock(tx, id).await?.ok_or_else(|| Problem::not_found("review"))?;
        let theirs = match by {
            Actor::Author(author) => row.author() == author,
            Actor::Staff(_) | Actor::Shop => true,
        };
        if row.status()? == Status::Deleted || !theirs {
            return Err(Problem::not_found("review").into());
        }
        if let Some(if_match) = if_match {
            if_match.check(row.version)?;
        }
        Self::on(tx, row, by, cause, now).await
    }

    /// On a row that is locked already, or new.
    pub async fn on(tx: &Tx, row: Row, by: Actor, cause: Cause, now: Timestamp) -> Result<Self, WorkError> {
        let review = bookworm_eventstore::load(tx, row.id).await?;
        let review = review.unwrap_or_else(|| Loaded { state: Review::default(), version: 0 });
        Ok(Self { row, review, by, cause, now })
    }

    /// Stores what happened, and the row as it is now. When it counts otherwise than before, the book's rating is
    /// published.
    pub async fn record(&mut self, tx: &Tx, outbox: &Outbox, events: &[ReviewEvent]) -> Result<(), WorkError> {
        let counted = self.review.state.counted();
        let was_published = self.review.state.status() == Status::Published;
        let (id, noted) = (self.row.id, self.by.noted());
        let appended = bookworm_eventstore::append::<Review>(
            tx,
            id,
            self.review.version,
            events,
            &self.cause,
            Some(&noted),
            self.now,
        );
        self.review.version = match appended.await {
            Ok(version) => version,
            // The row is locked, so this is a new review of which there are two.
            Err(AppendError::Conflict { .. }) => return Err(DbError::Busy.into()),
            Err(AppendError::Db(error)) => return Err(error.into()),
        };
        for event in events {
            self.review.state.apply(event, self.now);
            let decision = match event {
                ReviewEvent::Published { .. } => "published",
                ReviewEvent::Waiting { .. } => "waiting",
                ReviewEvent::Held { .. } => "held",
                ReviewEvent::Hidden { .. } => "hidden",
                _ => continue,
            };
            tx.after_commit(move || metrics::counter!("rating_decisions_total", "decision" => decision).increment(1));
        }
        self.row.follow(&self.review, self.now);
        reviews::put(tx, &self.row).await?;
        if was_published || self.review.state.status() == Status::Published {
            summaries::mark_stale(tx, self.row.book_id()).await?;
        }
        if self.review.state.counted() != counted {
            publish_rating(tx, outbox, &self.cause, self.row.book_id()).await?;
        }
        Ok(())
    }
}

/// Counts a book's published reviews anew and publishes what they give.
async fn publish_rating(tx: &Tx, outbox: &Outbox, cause: &Cause, book_id: BookId) -> Result<(), DbError> {
    let version = tallies::next_version(tx, book_id).await?;
    let tally = tallies::of(tx, book_id).await?;
    let rated = BookRated {
        book_id,
        version,
        count: tally.count(),
        half_stars: tally.half_stars(),
        average_hundredths: tally.average_hundredths(),
        bayesian_ten_thousandths: tally.bayesian_ten_thousandths(),
        distribution: tally.distribution(),
    };
    outbox.put(tx, cause, &rated).await.map(drop)
}
