#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use std::{future::Future, sync::Arc, time::Duration};

use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::{Clock, Timestamp};
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The table. Put it into the service's list of migrations.
pub const MIGRATIONS: &[Migration] = &[Migration::new(
    "saga/0001_sagas",
    "CREATE TABLE sagas (
            kind TEXT NOT NULL,
            id UUID NOT NULL,
            step TEXT NOT NULL,
            state TEXT NOT NULL,
            deadline BIGINT,
            done BOOLEAN NOT NULL,
            started_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            PRIMARY KEY (kind, id)
          );
          CREATE INDEX sagas_due ON sagas (kind, deadline);",
)];

/// How often to look for deadlines.
const TICK: Duration = Duration::from_millis(250);
/// How often open sagas are counted.
const CENSUS: Duration = Duration::from_secs(10);
/// How many passed deadlines are read at a time.
const BATCH: i64 = 64;

/// A long-running business process.
pub trait Saga: 'static {
    /// Its name in the database.
    const KIND: &'static str;
    /// What is stored of it between steps.
    type State: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// What may happen to it. One of them is that the deadline passed.
    type Input: Send;
    /// What it wants done.
    type Action: Send;

    /// Decides the next step. Pure: the same state and input always decide the same.
    fn decide(state: &Self::State, input: Self::Input) -> Decision<Self>
    where
        Self: Sized;

    /// The step's name, for people who look into the database.
    fn step(state: &Self::State) -> &'static str;

    /// The input that says that the deadline passed.
    fn timed_out() -> Self::Input;
}

/// What a saga decided.
#[derive(Debug)]
pub struct Decision<S: Saga> {
    /// Its new state; `None` when nothing changes.
    pub state: Option<S::State>,
    /// What it wants done, in this order.
    pub actions: Vec<S::Action>,
    /// When to give up waiting for the next input. `None`: no deadline. Only looked at when `state` changes.
    pub deadline: Option<Duration>,
    /// Whether this was the last step.
    pub done: bool,
}

impl<S: Saga> Decision<S> {
    /// Nothing changes: the input came too late, or again.
    #[must_use]
    pub fn ignore() -> Self {
        Self { state: None, actions: Vec::new(), deadline: None, done: false }
    }

    /// Goes on to a state in which an input is expected within `deadline`.
    #[must_use]
    pub fn wait(state: S::State, actions: Vec<S::Action>, deadline: Duration) -> Self {
        Self { state: Some(state), actions, deadline: Some(deadline), done: false }
    }

    /// The saga has ended.
    #[must_use]
    pub fn end(state: S::State, actions: Vec<S::Action>) -> Self {
        Self { state: Some(state), actions, deadline: None, done: true }
    }
}

/// Begins a saga.
///
/// # Errors
/// When there is one with this id, or the database fails.
pub async fn start<S: Saga>(
    tx: &Tx,
    id: Uuid,
    state: &S::State,
    deadline: Duration,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO sagas (kind, id, step, state, deadline, done, started_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        values![S::KIND, id, S::step(state), json(state)?, now.plus(deadline).micros(), false, now.micros()],
    )
    .await?;
    metrics::counter!("sagas_started_total", "kind" => S::KIND).increment(1);
    Ok(())
}

/// Hands a saga an input, and returns what it wants done: to be performed in this same unit of work. A saga that does
/// not exist wants nothing.
///
/// # Errors
/// When the database fails or the stored state cannot be read.
pub async fn advance<S: Saga>(tx: &Tx, id: Uuid, input: S::Input, now: Timestamp) -> Result<Vec<S::Action>, DbError> {
    match lock::<S>(tx, id).await? {
        Some(row) => step::<S>(tx, id, &row, input, now).await,
        None => Ok(Vec::new()),
    }
}

/// Hands a saga the input that its deadline passed, if it really did: it may have advanced since somebody looked.
///
/// # Errors
/// When the database fails or the stored state cannot be read.
pub async fn advance_if_due<S: Saga>(tx: &Tx, id: Uuid, now: Timestamp) -> Result<Vec<S::Action>, DbError> {
    match lock::<S>(tx, id).await? {
        Some(row) if row.deadline.is_some_and(|deadline| deadline <= now.micros()) => {
            metrics::counter!("saga_timeouts_total", "kind" => S::KIND).increment(1);
            step::<S>(tx, id, &row, S::timed_out(), now).await
        }
        _ => Ok(Vec::new()),
    }
}

/// The state of a saga, or `None` when there is none with this id.
///
/// # Errors
/// When the database fails or the stored state cannot be read.
pub async fn state<S: Saga>(conn: &impl Sql, id: Uuid) -> Result<Option<S::State>, DbError> {
    let text: Option<String> =
        conn.scalar("SELECT state FROM sagas WHERE kind = $1 AND id = $2", values![S::KIND, id]).await?;
    text.map(|text| parse::<S>(&text)).transpose()
}

/// Calls `on_due` for each saga whose deadline has passed, until `shutdown`. `on_due` runs a unit of work with
/// [`advance_if_due`]; when it fails, the saga is still due and is tried again.
pub async fn run_deadlines<S, F, Fut>(db: Db, clock: Arc<dyn Clock>, on_due: F, shutdown: CancellationToken)
where
    S: Saga,
    F: Fn(Uuid) -> Fut + Send,
    Fut: Future<Output = Result<(), DbError>> + Send,
{
    let mut counted: Option<Timestamp> = None;
    // Where the last look ended, so that sagas whose time-out keeps failing do not hide those behind them.
    let mut after = Due { id: Uuid::nil(), deadline: i64::MIN };
    while !shutdown.is_cancelled() {
        let now = clock.now();
        if counted.is_none_or(|counted| now.since(counted) >= CENSUS) {
            counted = Some(now);
            if let Err(error) = census::<S>(&db, now).await {
                tracing::debug!(kind = S::KIND, error = &error as &dyn std::error::Error, "sagas were not counted");
            }
        }
        let due: Result<Vec<Due>, _> = db
            .read()
            .all(
                "SELECT id, deadline FROM sagas WHERE kind = $1 AND deadline <= $2 \
                 AND (deadline, id) > ($3, $4) ORDER BY deadline, id LIMIT $5",
                values![S::KIND, now.micros(), after.deadline, after.id, BATCH],
            )
            .await;
        after = Due { id: Uuid::nil(), deadline: i64::MIN };
        match due {
            Ok(due) => {
                let more = due.len() == usize::try_from(BATCH).unwrap_or_default();
                for saga in due {
                    if let Err(error) = on_due(saga.id).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(kind = S::KIND, saga = %saga.id, error, "a time-out could not be handled yet");
                    }
                    if more {
                        after = saga;
                    }
                }
                if more {
                    continue;
                }
            }
            Err(error) => {
                tracing::warn!(kind = S::KIND, error = &error as &dyn std::error::Error, "cannot look for time-outs");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => {}
        }
    }
    // Whoever looks for them next counts them.
    gauges::<S>(0, Duration::ZERO);
}

#[derive(FromRow)]
struct Open {
    count: i64,
    oldest: Option<i64>,
}

/// Counts the sagas that wait for something, and how long the oldest of them has existed.
async fn census<S: Saga>(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let query =
        "SELECT COUNT(*) AS count, MIN(started_at) AS oldest FROM sagas WHERE kind = $1 AND deadline IS NOT NULL";
    let open: Option<Open> = db.read().one(query, values![S::KIND]).await?;
    let open = open.unwrap_or(Open { count: 0, oldest: None });
    let age = open.oldest.map_or(Duration::ZERO, |oldest| now.since(Timestamp::from_micros(oldest)));
    gauges::<S>(open.count, age);
    Ok(())
}

fn gauges<S: Saga>(open: i64, oldest: Duration) {
    metrics::gauge!("sagas_open", "kind" => S::KIND).set(open as f64);
    metrics::gauge!("saga_oldest_seconds", "kind" => S::KIND).set(oldest.as_secs_f64());
}

#[derive(FromRow)]
struct Due {
    id: Uuid,
    deadline: i64,
}

#[derive(FromRow)]
struct Row {
    state: String,
    deadline: Option<i64>,
}

/// Reads a saga that is not done, so that nobody else advances it in this moment.
async fn lock<S: Saga>(tx: &Tx, id: Uuid) -> Result<Option<Row>, DbError> {
    let lock = tx.for_update();
    let select = format!("SELECT state, deadline FROM sagas WHERE kind = $1 AND id = $2 AND NOT done{lock}");
    tx.one(&select, values![S::KIND, id]).await
}

async fn step<S: Saga>(
    tx: &Tx,
    id: Uuid,
    row: &Row,
    input: S::Input,
    now: Timestamp,
) -> Result<Vec<S::Action>, DbError> {
    let before = parse::<S>(&row.state)?;
    let decision = S::decide(&before, input);
    let reached = decision.state.as_ref().map_or("ignored", S::step);
    // Within what delivered the input; a deadline has no such step, and is one of its own.
    let step = Span::begin(Kind::Internal, bookworm_trace::current().map(Parent::from), || {
        let attributes = vec![
            KeyValue::new("bookworm.saga.kind", S::KIND),
            KeyValue::new(bookworm_trace::SUBJECT, id.to_string()),
            KeyValue::new("bookworm.saga.from", S::step(&before)),
            KeyValue::new("bookworm.saga.to", reached),
        ];
        (format!("saga {}: {reached}", S::KIND).into(), attributes)
    });
    if let Some(state) = &decision.state {
        let deadline = decision.deadline.map(|within| now.plus(within).micros());
        tx.exec(
            "UPDATE sagas SET step = $3, state = $4, deadline = $5, done = $6, updated_at = $7 WHERE kind = $1 AND id = $2",
            values![S::KIND, id, S::step(state), json(state)?, deadline, decision.done, now.micros()],
        )
        .await?;
        if decision.done {
            metrics::counter!("sagas_ended_total", "kind" => S::KIND, "step" => S::step(state)).increment(1);
        }
    }
    drop(step);
    Ok(decision.actions)
}

fn json<T: Serialize>(state: &T) -> Result<String, DbError> {
    serde_json::to_string(state).map_err(|error| DbError::Corrupt(format!("a saga: {error}")))
}

fn parse<S: Saga>(text: &str) -> Result<S::State, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Corrupt(format!("a saga: {error}")))
}
