#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::{Cause, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

/// The table. Put it into the service's list of migrations.
pub const MIGRATIONS: &[Migration] = &[
    Migration::new(
        "eventstore/0001_events",
        "CREATE TABLE events (
                seq {serial},
                stream_id UUID NOT NULL,
                version BIGINT NOT NULL,
                type TEXT NOT NULL,
                data TEXT NOT NULL,
                correlation_id UUID NOT NULL,
                causation_id UUID NOT NULL,
                at BIGINT NOT NULL,
                UNIQUE (stream_id, version)
              );",
    ),
    Migration::new("eventstore/0002_metadata", "ALTER TABLE events ADD COLUMN metadata TEXT;"),
];

/// How many streams [`replay`] folds at a time.
const REPLAY_BATCH: i64 = 200;

/// Something whose state is a fold of its events.
pub trait Aggregate: Default + Send {
    /// What happens to it: an enum with `#[serde(tag = "type")]`.
    type Event: Serialize + DeserializeOwned + Send + Sync;

    /// Takes an event in. Must not fail and must not look at anything but its arguments: it also runs on events of
    /// years ago.
    fn apply(&mut self, event: &Self::Event, at: Timestamp);
}

/// An aggregate and the number of events it was folded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<A> {
    /// Its state.
    pub state: A,
    /// What to expect when appending.
    pub version: u64,
}

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place in the stream, from 1.
    pub version: u64,
    /// Its name.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// What it says, without its name.
    pub data: Value,
    /// The request it belongs to.
    pub correlation_id: Uuid,
    /// What directly led to it.
    pub causation_id: Uuid,
    /// What was noted about it beside its data, such as who caused it. No part of the aggregate's state.
    pub metadata: Option<Value>,
}

/// Why events were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody appended since the caller loaded. Load again and decide again.
    #[error("the stream has moved on from version {expected}")]
    Conflict {
        /// What the caller expected.
        expected: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

#[derive(FromRow)]
struct Row {
    version: i64,
    data: String,
    at: i64,
}

#[derive(FromRow)]
struct FullRow {
    version: i64,
    r#type: String,
    data: String,
    at: i64,
    correlation_id: Uuid,
    causation_id: Uuid,
    metadata: Option<String>,
}

/// Appends events to a stream that has `expected` events now (0 for a new one). `metadata` is stored beside each and
/// handed back by [`history`] alone: folding never sees it. Returns the new version.
///
/// # Errors
/// [`AppendError::Conflict`] when it has another number; then the unit of work must be given up.
pub async fn append<A: Aggregate>(
    tx: &Tx,
    stream: Uuid,
    expected: u64,
    events: &[A::Event],
    cause: &Cause,
    metadata: Option<&Value>,
    now: Timestamp,
) -> Result<u64, AppendError> {
    let metadata = metadata.map(Value::to_string);
    let mut version = expected;
    for event in events {
        version += 1;
        let value = serde_json::to_value(event).map_err(corrupt)?;
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        // Neither over an event that is there, nor past the end of the stream.
        let written = tx
            .exec(
                "INSERT INTO events (stream_id, version, type, data, correlation_id, causation_id, at, metadata) \
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
                 WHERE $2 = 1 OR EXISTS (SELECT 1 FROM events WHERE stream_id = $1 AND version = $2 - 1) \
                 ON CONFLICT DO NOTHING",
                values![
                    stream,
                    version.cast_signed(),
                    kind,
                    value.to_string(),
                    cause.correlation_id.uuid(),
                    cause.causation_id,
                    now.micros(),
                    metadata.clone()
                ],
            )
            .await?;
        if written == 0 {
            return Err(AppendError::Conflict { expected });
        }
    }
    Ok(version)
}

/// The present state of a stream, or `None` when it has no events.
///
/// # Errors
/// When the database fails or an event cannot be read.
pub async fn load<A: Aggregate>(conn: &impl Sql, stream: Uuid) -> Result<Option<Loaded<A>>, DbError> {
    load_as_of(conn, stream, Timestamp::from_micros(i64::MAX)).await
}

/// The state of a stream as it was at an instant (events of that very instant included), or `None` when it had not
/// begun. Where the clocks of two machines disagree, the order of the events counts: an event is known only once all
/// before it are.
///
/// # Errors
/// When the database fails or an event cannot be read.
pub async fn load_as_of<A: Aggregate>(
    conn: &impl Sql,
    stream: Uuid,
    at: Timestamp,
) -> Result<Option<Loaded<A>>, DbError> {
    let rows: Vec<Row> =
        conn.all("SELECT version, data, at FROM events WHERE stream_id = $1 ORDER BY version", values![stream]).await?;
    let known = rows.iter().take_while(|row| row.at <= at.micros()).count();
    fold(&rows[..known])
}

fn fold<A: Aggregate>(rows: &[Row]) -> Result<Option<Loaded<A>>, DbError> {
    let Some(last) = rows.last() else { return Ok(None) };
    let mut state = A::default();
    for row in rows {
        let event = serde_json::from_str(&row.data).map_err(corrupt)?;
        state.apply(&event, Timestamp::from_micros(row.at));
    }
    Ok(Some(Loaded { state, version: last.version.cast_unsigned() }))
}

/// The events of a stream, oldest first.
///
/// # Errors
/// When the database fails or an event cannot be read.
pub async fn history(conn: &impl Sql, stream: Uuid) -> Result<Vec<Recorded>, DbError> {
    let rows: Vec<FullRow> = conn
        .all(
            "SELECT version, type, data, at, correlation_id, causation_id, metadata FROM events WHERE stream_id = $1 \
             ORDER BY version",
            values![stream],
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let mut data: Value = serde_json::from_str(&row.data).map_err(corrupt)?;
            if let Some(fields) = data.as_object_mut() {
                fields.remove("type");
            }
            Ok(Recorded {
                version: row.version.cast_unsigned(),
                kind: row.r#type,
                at: Timestamp::from_micros(row.at),
                data,
                correlation_id: row.correlation_id,
                causation_id: row.causation_id,
                metadata: row.metadata.as_deref().map(serde_json::from_str).transpose().map_err(corrupt)?,
            })
        })
        .collect()
}

#[derive(FromRow)]
struct StreamEvent {
    stream_id: Uuid,
    version: i64,
    data: String,
    at: i64,
}

/// Folds every stream, in the order of their ids, and hands each to `visit`. Returns how many streams there are.
///
/// # Errors
/// When the database fails, an event cannot be read, or `visit` fails.
pub async fn replay<A, F>(db: &Db, mut visit: F) -> Result<u64, DbError>
where
    A: Aggregate,
    F: AsyncFnMut(Uuid, Loaded<A>) -> Result<(), DbError>,
{
    let (mut after, mut streams) = (Uuid::nil(), 0);
    loop {
        let rows: Vec<StreamEvent> = db
            .read()
            .all(
                "SELECT stream_id, version, data, at FROM events WHERE stream_id IN \
                 (SELECT DISTINCT stream_id FROM events WHERE stream_id > $1 ORDER BY stream_id LIMIT $2) \
                 ORDER BY stream_id, version",
                values![after, REPLAY_BATCH],
            )
            .await?;
        if rows.is_empty() {
            return Ok(streams);
        }
        for stream in rows.chunk_by(|a, b| a.stream_id == b.stream_id) {
            let id = stream[0].stream_id;
            let rows: Vec<Row> =
                stream.iter().map(|r| Row { version: r.version, data: r.data.clone(), at: r.at }).collect();
            if let Some(loaded) = fold(&rows)? {
                visit(id, loaded).await?;
                streams += 1;
            }
            after = id;
        }
    }
}

fn corrupt(error: serde_json::Error) -> DbError {
    DbError::Corrupt(format!("an event: {error}"))
}
