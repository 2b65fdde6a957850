//! What becomes of background loops that end when they should not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bookworm_loops::{Gone, Loop, Supervisor};
use bookworm_registry::{Leases, MemoryLeases};
use tokio_util::sync::CancellationToken;

fn counter() -> (Arc<AtomicU32>, impl Fn() -> u32 + Send + Sync + 'static) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    (count, move || counted.fetch_add(1, Ordering::SeqCst) + 1)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_or_returns_is_begun_again() {
    let (count, begin) = counter();
    let gone = Gone::default();
    let mut supervisor = Supervisor::new(CancellationToken::new(), gone.clone());
    supervisor.start(Loop::new("test.fragile", move |stop| {
        let begun = begin();
        assert_ne!(begun, 1, "a panic before the first step");
        async move {
            tokio::task::yield_now().await;
            assert_ne!(begun, 2, "a panic within");
            if begun > 3 {
                stop.cancelled().await;
            }
        }
    }));
    until("it runs for the fourth time", || count.load(Ordering::SeqCst) == 4).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((count.load(Ordering::SeqCst), gone.names()), (4, vec![]));
    assert_eq!(supervisor.finish(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_ends_again_and_again_is_gone_and_the_others_go_on() {
    let (count, begin) = counter();
    let (others, tick) = counter();
    let gone = Gone::default();
    let mut supervisor = Supervisor::new(CancellationToken::new(), gone.clone());
    supervisor.start(Loop::new("test.broken", move |_| {
        begin();
        async { panic!("always") }
    }));
    supervisor.start(Loop::every("test.whole", Duration::from_secs(10), move || {
        tick();
        async {}
    }));
    until("it is gone", || !gone.names().is_empty()).await;
    assert_eq!((gone.names(), count.load(Ordering::SeqCst)), (vec!["test.broken".to_owned()], 10));
    let before = others.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let ticks = others.load(Ordering::SeqCst) - before;
    assert!((9..=12).contains(&ticks), "{ticks}");
    assert_eq!(supervisor.finish(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_fails_once_a_day_is_never_gone() {
    let (count, begin) = counter();
    let gone = Gone::default();
    let mut supervisor = Supervisor::new(CancellationToken::new(), gone.clone());
    supervisor.start(Loop::new("test.daily", move |_| {
        begin();
        tokio::time::sleep(Duration::from_secs(86_400))
    }));
    tokio::time::sleep(Duration::from_secs(86_400 * 30)).await;
    assert!(count.load(Ordering::SeqCst) > 28);
    assert_eq!(gone.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_counted_and_cut_off() {
    let mut supervisor = Supervisor::new(CancellationToken::new(), Gone::default());
    supervisor.start(Loop::new("test.deaf", |_| std::future::pending()));
    supervisor.start(Loop::new("test.good", |stop| async move { stop.cancelled().await }));
    assert_eq!(supervisor.finish(Duration::from_secs(5)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_loop_for_leaders_runs_in_one_process_and_the_others_in_all() {
    let leases = MemoryLeases::new();
    let (led, lead) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let process = |name: &str| {
        let mut supervisor =
            Supervisor::new(CancellationToken::new(), Gone::default()).leading(Arc::new(leases.clone()), name);
        for (running, leader_only) in [(&led, true), (&lead, false)] {
            let running = running.clone();
            let work = Loop::new("test.work", move |stop| {
                let running = running.clone();
                async move {
                    running.fetch_add(1, Ordering::SeqCst);
                    stop.cancelled().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                }
            });
            supervisor.start(if leader_only { work.leader_only() } else { work });
        }
        supervisor
    };
    let (one, two) = (process("one"), process("two"));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((led.load(Ordering::SeqCst), lead.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(one.finish(Duration::from_secs(1)).await, 0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((led.load(Ordering::SeqCst), lead.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(two.finish(Duration::from_secs(1)).await, 0);
    assert_eq!((led.load(Ordering::SeqCst), lead.load(Ordering::SeqCst)), (0, 0));
    assert!(leases.acquire("test.work", "three").await.unwrap().is_some(), "the lease was given back");
}

#[tokio::test(start_paused = true)]
async fn a_loop_for_leaders_that_panics_is_begun_again_as_soon_as_any_other() {
    let (count, begin) = counter();
    let mut supervisor =
        Supervisor::new(CancellationToken::new(), Gone::default()).leading(Arc::new(MemoryLeases::new()), "one");
    let work = Loop::new("test.fragile", move |stop| {
        let begun = begin();
        async move {
            assert!(begun > 3, "a panic");
            stop.cancelled().await;
        }
    });
    supervisor.start(work.leader_only());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(count.load(Ordering::SeqCst), 4, "three panics, each with a pause of at most 0.2, 0.4 and 0.8 s");
    assert_eq!(supervisor.finish(Duration::from_secs(1)).await, 0);
}
