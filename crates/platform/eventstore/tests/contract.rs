//! What an event-sourced aggregate may rely on, whichever database its events are in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeMap, time::Duration};

use bookworm_db::{Db, DbError, Sql, values};
use bookworm_eventstore::{Aggregate, AppendError, Loaded, MIGRATIONS, append, history, load, load_as_of, replay};
use bookworm_kernel::{Cause, Clock, SystemClock, Timestamp};
use bookworm_testing::{TestDatabases, on_every_database};
use futures::future::join_all;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

on_every_database!(
    a_stream_is_the_fold_of_its_events,
    only_one_of_many_who_saw_the_same_version_may_append,
    nobody_appends_to_a_version_that_is_not_there,
    a_refused_append_leaves_nothing,
    the_past_can_be_looked_at,
    the_past_follows_the_order_of_events_when_clocks_disagree,
    history_says_what_happened_and_why,
    an_event_that_cannot_be_read_is_an_error,
    replay_equals_loading_each_stream,
);

/// An account book that remembers everything that a fold can get wrong: order, repetition, time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counter {
    total: i64,
    names: Vec<String>,
    last_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Happened {
    Added { by: i64 },
    Renamed { name: String },
    Doubled,
}

impl Aggregate for Counter {
    type Event = Happened;

    fn apply(&mut self, event: &Happened, at: Timestamp) {
        match event {
            Happened::Added { by } => self.total = self.total.wrapping_add(*by),
            Happened::Renamed { name } => self.names.push(name.clone()),
            Happened::Doubled => self.total = self.total.wrapping_mul(2),
        }
        self.last_at = Some(at);
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + second * 1_000_000)
}

async fn open(home: &TestDatabases) -> Db {
    let db = home.databases.open("shop").await.unwrap();
    db.migrate(MIGRATIONS, SystemClock.now()).await.unwrap();
    db
}

async fn add(db: &Db, stream: Uuid, expected: u64, events: Vec<Happened>, now: Timestamp) -> Result<u64, AppendError> {
    db.transact(move |tx| {
        Box::pin(async move { append::<Counter>(tx, stream, expected, &events, &Cause::start(), None, now).await })
    })
    .await
}

async fn current(db: &Db, stream: Uuid) -> Option<Loaded<Counter>> {
    load(db.read(), stream).await.unwrap()
}

fn fold(events: &[(Happened, Timestamp)]) -> Counter {
    let mut state = Counter::default();
    for (event, at) in events {
        state.apply(event, *at);
    }
    state
}

async fn a_stream_is_the_fold_of_its_events(home: &TestDatabases) {
    let db = open(home).await;
    let (stream, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(current(&db, stream).await, None);
    let first = vec![Happened::Added { by: 2 }, Happened::Doubled];
    assert_eq!(add(&db, stream, 0, first, at(1)).await.unwrap(), 2);
    assert_eq!(add(&db, stream, 2, vec![Happened::Added { by: 1 }], at(2)).await.unwrap(), 3);
    assert_eq!(add(&db, other, 0, vec![Happened::Added { by: 100 }], at(3)).await.unwrap(), 1);
    let state = Counter { total: 5, names: Vec::new(), last_at: Some(at(2)) };
    assert_eq!(current(&db, stream).await, Some(Loaded { state, version: 3 }));

    // Within a unit of work, its own events count.
    let (inside, version) = db
        .transact::<_, AppendError, _>(move |tx| {
            Box::pin(async move {
                let version =
                    append::<Counter>(tx, stream, 3, &[Happened::Doubled], &Cause::start(), None, at(4)).await?;
                Ok((load::<Counter>(tx, stream).await?, version))
            })
        })
        .await
        .unwrap();
    assert_eq!((inside.map(|loaded| loaded.state.total), version), (Some(10), 4));
}

async fn only_one_of_many_who_saw_the_same_version_may_append(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    for round in 0..5_u64 {
        let attempts = (0..12).map(|n| add(&db, stream, round, vec![Happened::Added { by: n }], at(1)));
        let results = join_all(attempts).await;
        let mut won = 0;
        for result in results {
            match result {
                Ok(version) => {
                    assert_eq!(version, round + 1);
                    won += 1;
                }
                Err(AppendError::Conflict { expected }) => assert_eq!(expected, round),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
    let versions: Vec<u64> = history(db.read(), stream).await.unwrap().iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
}

async fn nobody_appends_to_a_version_that_is_not_there(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    for (expected, length) in [(1, 0), (7, 0), (0, 2), (1, 2), (3, 2)] {
        if length == 2 && expected == 0 {
            add(&db, stream, 0, vec![Happened::Doubled, Happened::Doubled], at(1)).await.unwrap();
        }
        let refused = add(&db, stream, expected, vec![Happened::Doubled], at(1)).await;
        assert!(
            matches!(refused, Err(AppendError::Conflict { expected: e }) if e == expected),
            "{expected}: {refused:?}"
        );
    }
    assert_eq!(history(db.read(), stream).await.unwrap().len(), 2);
}

async fn a_refused_append_leaves_nothing(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    add(&db, stream, 0, vec![Happened::Doubled, Happened::Doubled], at(1)).await.unwrap();
    add(&db, stream, 1, vec![Happened::Doubled, Happened::Doubled, Happened::Doubled], at(1)).await.unwrap_err();
    assert_eq!(history(db.read(), stream).await.unwrap().len(), 2);
    assert_eq!(add(&db, stream, 2, Vec::new(), at(1)).await.unwrap(), 2, "no events are no change");
}

async fn the_past_can_be_looked_at(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    for n in 0..4_i64 {
        let version = n.cast_unsigned();
        add(&db, stream, version, vec![Happened::Added { by: 1 }], at(n * 10)).await.unwrap();
    }
    let as_of = async |instant: Timestamp| {
        load_as_of::<Counter>(db.read(), stream, instant).await.unwrap().map(|l| (l.state.total, l.version))
    };
    let tick = Duration::from_micros(1);
    assert_eq!(as_of(at(0).minus(tick)).await, None);
    assert_eq!(as_of(at(0)).await, Some((1, 1)), "an event of that very instant counts");
    assert_eq!(as_of(at(10).minus(tick)).await, Some((1, 1)));
    assert_eq!(as_of(at(10)).await, Some((2, 2)));
    assert_eq!(as_of(at(29)).await, Some((3, 3)));
    assert_eq!(as_of(at(9_999)).await, Some((4, 4)));
    assert_eq!(as_of(Timestamp::from_micros(i64::MIN)).await, None);
}

async fn the_past_follows_the_order_of_events_when_clocks_disagree(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    // The second event comes from a machine whose clock is ahead.
    for (version, (second, by)) in [(0, 1), (100, 10), (5, 100)].into_iter().enumerate() {
        add(&db, stream, version as u64, vec![Happened::Added { by }], at(second)).await.unwrap();
    }
    let then = load_as_of::<Counter>(db.read(), stream, at(50)).await.unwrap().unwrap();
    assert_eq!((then.state.total, then.version), (1, 1), "no state that never was");
}

async fn history_says_what_happened_and_why(home: &TestDatabases) {
    let db = open(home).await;
    let (stream, cause) = (Uuid::now_v7(), Cause::start());
    let noted = serde_json::json!({"by": "Zoë \"Z\" O'Neil"});
    let metadata = noted.clone();
    db.transact::<_, AppendError, _>(move |tx| {
        Box::pin(async move {
            let events = [Happened::Renamed { name: "書虫 '\"".to_owned() }, Happened::Doubled];
            append::<Counter>(tx, stream, 0, &events, &cause, Some(&metadata), at(7)).await
        })
    })
    .await
    .unwrap();
    let events = history(db.read(), stream).await.unwrap();
    let [renamed, doubled] = &events[..] else { panic!("{events:?}") };
    assert_eq!((renamed.version, renamed.kind.as_str(), renamed.at), (1, "Renamed", at(7)));
    assert_eq!(renamed.data, serde_json::json!({"name": "書虫 '\""}));
    assert_eq!((doubled.version, doubled.kind.as_str()), (2, "Doubled"));
    assert_eq!(doubled.data, serde_json::json!({}));
    assert_eq!(renamed.correlation_id, cause.correlation_id.uuid());
    assert_eq!(renamed.causation_id, cause.causation_id);
    assert_eq!((renamed.metadata.as_ref(), doubled.metadata.as_ref()), (Some(&noted), Some(&noted)));
    add(&db, stream, 2, vec![Happened::Doubled], at(8)).await.unwrap();
    assert_eq!(history(db.read(), stream).await.unwrap()[2].metadata, None, "as every event of before");
    assert!(history(db.read(), Uuid::now_v7()).await.unwrap().is_empty());
}

async fn an_event_that_cannot_be_read_is_an_error(home: &TestDatabases) {
    let db = open(home).await;
    let stream = Uuid::now_v7();
    add(&db, stream, 0, vec![Happened::Doubled], at(1)).await.unwrap();
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            tx.exec("UPDATE events SET data = $1 WHERE stream_id = $2", values![r#"{"type":"Vanished"}"#, stream]).await
        })
    })
    .await
    .unwrap();
    let error = load::<Counter>(db.read(), stream).await.unwrap_err();
    assert!(matches!(&error, DbError::Corrupt(why) if why.contains("Vanished")), "{error:?}");
    replay::<Counter, _>(&db, async |_, _| Ok(())).await.unwrap_err();
}

fn events() -> impl Strategy<Value = Happened> {
    prop_oneof![
        any::<i64>().prop_map(|by| Happened::Added { by }),
        "\\PC{0,12}".prop_map(|name| Happened::Renamed { name }),
        Just(Happened::Doubled),
    ]
}

/// Appends random events to random streams in random portions, and holds every way to read them against a fold in
/// memory.
async fn replay_equals_loading_each_stream(home: &TestDatabases) {
    let db = open(home).await;
    let mut runner = TestRunner::new(Config::default());
    let portions = prop::collection::vec((0_usize..450, prop::collection::vec(events(), 1..4)), 600)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    let ids: Vec<Uuid> = (0..450).map(|_| Uuid::new_v4()).collect();
    let mut expected: BTreeMap<Uuid, Vec<(Happened, Timestamp)>> = BTreeMap::new();
    for (second, (stream, portion)) in (0_i64..).zip(portions) {
        let stream = ids[stream];
        let known = expected.entry(stream).or_default();
        let version = add(&db, stream, known.len() as u64, portion.clone(), at(second)).await.unwrap();
        known.extend(portion.into_iter().map(|event| (event, at(second))));
        assert_eq!(version, known.len() as u64);
    }
    let mut replayed = BTreeMap::new();
    let streams = replay::<Counter, _>(&db, async |id, loaded| {
        assert!(replayed.insert(id, loaded).is_none(), "each stream comes once");
        Ok(())
    })
    .await
    .unwrap();
    // More streams than one batch of the replay, so that its borders are crossed.
    assert!(streams > 200, "{streams}");
    assert_eq!(streams, expected.len() as u64);
    for (id, events) in &expected {
        let whole = Loaded { state: fold(events), version: events.len() as u64 };
        assert_eq!(replayed.get(id), Some(&whole));
        let middle = events[events.len() / 2].1;
        let known: Vec<_> = events.iter().filter(|(_, at)| *at <= middle).cloned().collect();
        let then = load_as_of::<Counter>(db.read(), *id, middle).await.unwrap();
        assert_eq!(then, Some(Loaded { state: fold(&known), version: known.len() as u64 }));
        assert_eq!(current(&db, *id).await, Some(whole));
    }
}
