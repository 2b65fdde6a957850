use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookworm_registry::{Leases, MemoryLeases, lead};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Far, HANGS, Link, REFUSES, UP, seconds};

/// What two candidates for one lease did.
#[derive(Clone, Default)]
struct Log {
    leaders: Arc<AtomicUsize>,
    tenures: Arc<Mutex<Vec<Tenure>>>,
}

/// Who led from when, with which fencing number.
type Tenure = (&'static str, Instant, u64);

impl Log {
    fn leaders(&self) -> usize {
        self.leaders.load(Ordering::SeqCst)
    }

    fn last(&self) -> &'static str {
        self.tenures.lock().unwrap().last().unwrap().0
    }
}

/// A candidate whose work takes this long to end.
fn candidate(
    leases: &MemoryLeases,
    link: &Link,
    name: &'static str,
    log: &Log,
    to_end: Duration,
) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let far = Far { store: leases.clone(), link: link.clone() };
    let (log, until) = (log.clone(), stop.clone());
    let running = tokio::spawn(async move {
        let work = |fence, over: CancellationToken| {
            let log = log.clone();
            async move {
                log.tenures.lock().unwrap().push((name, Instant::now(), fence));
                log.leaders.fetch_add(1, Ordering::SeqCst);
                over.cancelled().await;
                sleep(to_end).await;
                log.leaders.fetch_sub(1, Ordering::SeqCst);
            }
        };
        lead(&far, "chat.desk", name, &until, work).await;
    });
    (stop, running)
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_another_follows_when_it_ends() {
    let (leases, log) = (MemoryLeases::new(), Log::default());
    let (stop_one, one) = candidate(&leases, &Link::default(), "one", &log, seconds(1));
    sleep(seconds(1)).await;
    let (stop_two, two) = candidate(&leases, &Link::default(), "two", &log, seconds(1));
    sleep(seconds(600)).await;
    assert_eq!((log.leaders(), log.last()), (1, "one"));
    stop_one.cancel();
    one.await.unwrap();
    sleep(seconds(6)).await;
    assert_eq!((log.leaders(), log.last()), (1, "two"), "a lease that is given back is taken soon");
    let tenures = log.tenures.lock().unwrap().clone();
    assert_eq!(tenures.len(), 2);
    assert!(tenures[0].2 < tenures[1].2);
    stop_two.cancel();
    two.await.unwrap();
    assert_eq!(log.leaders(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_steps_down_before_another_leads() {
    for away in [REFUSES, HANGS] {
        // A cut at each moment of the time between two renewals.
        for moment in 0..10 {
            let (leases, log, link) = (MemoryLeases::new(), Log::default(), Link::default());
            let _one = candidate(&leases, &link, "one", &log, seconds(4));
            sleep(seconds(1)).await;
            let _two = candidate(&leases, &Link::default(), "two", &log, seconds(4));
            sleep(seconds(60) + Duration::from_millis(500 * moment)).await;
            link.set(away);
            for _ in 0..300 {
                sleep(Duration::from_millis(100)).await;
                assert!(log.leaders() <= 1);
            }
            assert_eq!((log.leaders(), log.last()), (1, "two"));
            link.set(UP);
            sleep(seconds(60)).await;
            assert_eq!((log.leaders(), log.last()), (1, "two"), "who is back waits for its turn");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_break_costs_no_lease() {
    let (leases, log, link) = (MemoryLeases::new(), Log::default(), Link::default());
    let _one = candidate(&leases, &link, "one", &log, seconds(0));
    sleep(seconds(1)).await;
    let _two = candidate(&leases, &Link::default(), "two", &log, seconds(0));
    for _ in 0..20 {
        sleep(seconds(30)).await;
        link.set(REFUSES);
        sleep(seconds(4)).await;
        link.set(UP);
    }
    assert_eq!(log.tenures.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_stops_at_the_next_renewal() {
    let (leases, log) = (MemoryLeases::new(), Log::default());
    let (_stop, _one) = candidate(&leases, &Link::default(), "one", &log, seconds(0));
    sleep(seconds(1)).await;
    // The whole process stood still, as one that was stopped does: time went on in the store alone.
    tokio::time::advance(seconds(40)).await;
    let other = leases.acquire("chat.desk", "other").await.unwrap().expect("the lease has lapsed");
    sleep(seconds(1)).await;
    assert_eq!(log.leaders(), 0);
    leases.release(&other).await.unwrap();
    sleep(seconds(6)).await;
    assert_eq!(log.leaders(), 1);
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_ends_the_leadership() {
    let leases = MemoryLeases::new();
    lead(&leases, "chat.desk", "one", &CancellationToken::new(), |_, _| async {}).await;
    assert!(leases.acquire("chat.desk", "two").await.unwrap().is_some(), "the lease was given back");
}

#[tokio::test(start_paused = true)]
async fn work_that_is_cut_off_leaves_the_lease_to_lapse() {
    let (leases, log) = (MemoryLeases::new(), Log::default());
    let (_stop, one) = candidate(&leases, &Link::default(), "one", &log, seconds(0));
    sleep(seconds(1)).await;
    one.abort();
    let crashed = Instant::now();
    let _two = candidate(&leases, &Link::default(), "two", &log, seconds(0));
    sleep(seconds(25)).await;
    assert_eq!(log.last(), "two");
    assert!(log.tenures.lock().unwrap()[1].1 - crashed < seconds(21));
}
