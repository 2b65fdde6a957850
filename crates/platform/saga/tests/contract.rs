//! What a saga may rely on, whichever database it is remembered in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bookworm_db::{Db, DbError, Sql};
use bookworm_kernel::{Clock, ManualClock, SystemClock, Timestamp};
use bookworm_saga::{Decision, MIGRATIONS, Saga, advance, advance_if_due, run_deadlines, start, state};
use bookworm_testing::{TestDatabases, eventually, on_every_database};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

on_every_database!(
    a_saga_remembers_its_state_and_says_what_to_do,
    a_saga_cannot_be_started_twice,
    a_saga_that_has_ended_wants_nothing,
    a_saga_that_does_not_exist_wants_nothing,
    an_undone_unit_leaves_the_saga_where_it_was,
    a_deadline_counts_only_once_it_has_passed,
    a_deadline_that_was_met_or_moved_no_longer_counts,
    inputs_that_come_at_once_take_turns,
    a_deadline_and_an_answer_at_once_take_turns,
    a_deadline_that_passed_while_the_program_was_down_is_found,
    a_time_out_that_fails_is_tried_again_and_holds_up_no_other,
);

const STEP: Duration = Duration::from_secs(30);

/// Waits for three ticks; a time-out or a stop ends it early.
struct Ticks;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Waiting { ticks: u32 },
    Finished,
    TimedOut,
}

#[derive(Debug)]
enum TickInput {
    Tick,
    Repeat,
    Look,
    TimedOut,
}

impl Saga for Ticks {
    const KIND: &'static str = "test.ticks";
    type State = Stage;
    type Input = TickInput;
    type Action = String;

    fn decide(state: &Stage, input: TickInput) -> Decision<Self> {
        match (state, input) {
            (Stage::Waiting { ticks: 2 }, TickInput::Tick) => Decision::end(Stage::Finished, vec!["finish".to_owned()]),
            (Stage::Waiting { ticks }, TickInput::Tick) => {
                let ticks = ticks + 1;
                Decision::wait(Stage::Waiting { ticks }, vec![format!("tick {ticks}"), "wait".to_owned()], STEP)
            }
            (Stage::Waiting { .. }, TickInput::TimedOut) => {
                Decision::end(Stage::TimedOut, vec!["compensate".to_owned()])
            }
            (_, TickInput::Look) => Decision { actions: vec!["look".to_owned()], ..Decision::ignore() },
            _ => Decision::ignore(),
        }
    }

    fn step(state: &Stage) -> &'static str {
        match state {
            Stage::Waiting { .. } => "waiting",
            Stage::Finished => "finished",
            Stage::TimedOut => "timed_out",
        }
    }

    fn timed_out() -> TickInput {
        TickInput::TimedOut
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(second))
}

async fn open(home: &TestDatabases) -> Db {
    let db = home.databases.open("shop").await.unwrap();
    db.migrate(MIGRATIONS, SystemClock.now()).await.unwrap();
    db
}

async fn begin(db: &Db, now: Timestamp) -> Uuid {
    let id = Uuid::now_v7();
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move { start::<Ticks>(tx, id, &Stage::Waiting { ticks: 0 }, STEP, now).await })
    })
    .await
    .unwrap();
    id
}

async fn advance_with(db: &Db, id: Uuid, input: TickInput, now: Timestamp) -> Vec<String> {
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { advance::<Ticks>(tx, id, input, now).await }))
        .await
        .unwrap()
}

async fn due(db: &Db, id: Uuid, now: Timestamp) -> Vec<String> {
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { advance_if_due::<Ticks>(tx, id, now).await }))
        .await
        .unwrap()
}

async fn stage(db: &Db, id: Uuid) -> Option<Stage> {
    state::<Ticks>(db.read(), id).await.unwrap()
}

async fn a_saga_remembers_its_state_and_says_what_to_do(home: &TestDatabases) {
    let db = open(home).await;
    let (id, other) = (begin(&db, at(0)).await, begin(&db, at(0)).await);
    assert_eq!(advance_with(&db, id, TickInput::Tick, at(1)).await, ["tick 1", "wait"]);
    assert_eq!(advance_with(&db, id, TickInput::Repeat, at(2)).await, [""; 0]);
    assert_eq!(advance_with(&db, id, TickInput::Look, at(2)).await, ["look"], "an action needs no change of state");
    assert_eq!(stage(&db, id).await, Some(Stage::Waiting { ticks: 1 }));
    assert_eq!(advance_with(&db, id, TickInput::Tick, at(3)).await, ["tick 2", "wait"]);
    assert_eq!(advance_with(&db, id, TickInput::Tick, at(4)).await, ["finish"]);
    assert_eq!(stage(&db, id).await, Some(Stage::Finished));
    assert_eq!(stage(&db, other).await, Some(Stage::Waiting { ticks: 0 }));
    let step: Option<String> = db.read().scalar("SELECT step FROM sagas WHERE done", []).await.unwrap();
    assert_eq!(step.as_deref(), Some("finished"));
}

async fn a_saga_cannot_be_started_twice(home: &TestDatabases) {
    let db = open(home).await;
    let id = begin(&db, at(0)).await;
    advance_with(&db, id, TickInput::Tick, at(1)).await;
    let again = db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move { start::<Ticks>(tx, id, &Stage::Waiting { ticks: 0 }, STEP, at(2)).await })
        })
        .await
        .unwrap_err();
    assert!(again.is_unique_violation(), "{again:?}");
    assert_eq!(stage(&db, id).await, Some(Stage::Waiting { ticks: 1 }));
}

async fn a_saga_that_has_ended_wants_nothing(home: &TestDatabases) {
    let db = open(home).await;
    let id = begin(&db, at(0)).await;
    assert_eq!(due(&db, id, at(30)).await, ["compensate"]);
    for input in [TickInput::Tick, TickInput::Look, TickInput::TimedOut] {
        assert_eq!(advance_with(&db, id, input, at(31)).await, [""; 0]);
    }
    assert_eq!(due(&db, id, at(9_999)).await, [""; 0]);
    assert_eq!(stage(&db, id).await, Some(Stage::TimedOut));
}

async fn a_saga_that_does_not_exist_wants_nothing(home: &TestDatabases) {
    let db = open(home).await;
    let nobody = Uuid::now_v7();
    assert_eq!(advance_with(&db, nobody, TickInput::Tick, at(0)).await, [""; 0]);
    assert_eq!(due(&db, nobody, at(0)).await, [""; 0]);
    assert_eq!(stage(&db, nobody).await, None);
}

async fn an_undone_unit_leaves_the_saga_where_it_was(home: &TestDatabases) {
    let db = open(home).await;
    let id = begin(&db, at(0)).await;
    db.transact::<(), DbError, _>(move |tx| {
        Box::pin(async move {
            assert_eq!(advance::<Ticks>(tx, id, TickInput::Tick, at(1)).await?.len(), 2);
            Err(DbError::Busy)
        })
    })
    .await
    .unwrap_err();
    assert_eq!(stage(&db, id).await, Some(Stage::Waiting { ticks: 0 }));
    assert_eq!(advance_with(&db, id, TickInput::Tick, at(1)).await, ["tick 1", "wait"]);
}

async fn a_deadline_counts_only_once_it_has_passed(home: &TestDatabases) {
    let db = open(home).await;
    let id = begin(&db, at(0)).await;
    assert_eq!(due(&db, id, at(30).minus(Duration::from_micros(1))).await, [""; 0]);
    assert_eq!(due(&db, id, at(30)).await, ["compensate"]);
}

async fn a_deadline_that_was_met_or_moved_no_longer_counts(home: &TestDatabases) {
    let db = open(home).await;
    let id = begin(&db, at(0)).await;
    advance_with(&db, id, TickInput::Tick, at(20)).await;
    assert_eq!(due(&db, id, at(49)).await, [""; 0], "the tick moved it to 50");
    advance_with(&db, id, TickInput::Repeat, at(40)).await;
    advance_with(&db, id, TickInput::Look, at(40)).await;
    assert_eq!(due(&db, id, at(50)).await, ["compensate"], "what changes nothing does not move it");
}

async fn inputs_that_come_at_once_take_turns(home: &TestDatabases) {
    let db = open(home).await;
    for _ in 0..10 {
        let id = begin(&db, at(0)).await;
        let mut actions: Vec<String> = join_all((0..6).map(|_| advance_with(&db, id, TickInput::Tick, at(1))))
            .await
            .into_iter()
            .flatten()
            .collect();
        actions.sort_unstable();
        assert_eq!(actions, ["finish", "tick 1", "tick 2", "wait", "wait"], "each step is decided once");
        assert_eq!(stage(&db, id).await, Some(Stage::Finished));
    }
}

async fn a_deadline_and_an_answer_at_once_take_turns(home: &TestDatabases) {
    let db = open(home).await;
    for _ in 0..10 {
        let id = begin(&db, at(0)).await;
        advance_with(&db, id, TickInput::Tick, at(0)).await;
        advance_with(&db, id, TickInput::Tick, at(0)).await;
        let (answer, timeout) = tokio::join!(advance_with(&db, id, TickInput::Tick, at(30)), due(&db, id, at(30)));
        let expected = match stage(&db, id).await {
            Some(Stage::Finished) => (vec!["finish".to_owned()], vec![]),
            Some(Stage::TimedOut) => (vec![], vec!["compensate".to_owned()]),
            other => panic!("{other:?}"),
        };
        assert_eq!((answer, timeout), expected);
    }
}

async fn a_deadline_that_passed_while_the_program_was_down_is_found(home: &TestDatabases) {
    let db = open(home).await;
    let (late, early) = (begin(&db, at(0)).await, begin(&db, at(100)).await);
    db.close().await;

    let db = open(home).await;
    let clock = Arc::new(ManualClock::at(at(60)));
    let shutdown = CancellationToken::new();
    let runner = tokio::spawn(run_deadlines::<Ticks, _, _>(
        db.clone(),
        clock.clone(),
        {
            let (db, clock) = (db.clone(), clock.clone());
            move |id| {
                let (db, now) = (db.clone(), clock.now());
                async move {
                    due(&db, id, now).await;
                    Ok(())
                }
            }
        },
        shutdown.clone(),
    ));
    eventually("the passed deadline is found", async || stage(&db, late).await == Some(Stage::TimedOut)).await;
    assert_eq!(stage(&db, early).await, Some(Stage::Waiting { ticks: 0 }));
    clock.advance(Duration::from_secs(70));
    eventually("the next one is found in its time", async || stage(&db, early).await == Some(Stage::TimedOut)).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), runner).await.expect("it stops when it is cancelled").unwrap();
}

async fn a_time_out_that_fails_is_tried_again_and_holds_up_no_other(home: &TestDatabases) {
    let db = open(home).await;
    // More than are dealt with at a time, and all of them earlier than the one that works.
    let mut broken = Vec::new();
    for _ in 0..70 {
        broken.push(begin(&db, at(0)).await);
    }
    let works = begin(&db, at(1)).await;
    let failures = Arc::new(AtomicU32::new(0));
    let shutdown = CancellationToken::new();
    let runner = tokio::spawn(run_deadlines::<Ticks, _, _>(
        db.clone(),
        Arc::new(ManualClock::at(at(60))),
        {
            let (db, broken, failures) = (db.clone(), broken.clone(), failures.clone());
            move |id| {
                let (db, fails, failures) = (db.clone(), broken.contains(&id), failures.clone());
                async move {
                    if fails && failures.fetch_add(1, Ordering::SeqCst) < 500 {
                        return Err(DbError::Busy);
                    }
                    due(&db, id, at(60)).await;
                    Ok(())
                }
            }
        },
        shutdown.clone(),
    ));
    eventually("the one behind the failing ones is dealt with", async || {
        stage(&db, works).await == Some(Stage::TimedOut)
    })
    .await;
    assert!(failures.load(Ordering::SeqCst) < 500, "without waiting until the others succeed");
    eventually("those that failed are tried again", async || stage(&db, broken[69]).await == Some(Stage::TimedOut))
        .await;
    shutdown.cancel();
    runner.await.unwrap();
}
