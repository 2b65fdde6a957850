//! The suite for leases.

use futures::future::join_all;

use super::{LeasesBench, tests};
use crate::{Grant, Leases};

/// Runs the whole suite, each test on a bench of its own.
///
/// # Panics
/// When the leases break the contract.
pub async fn run<B: LeasesBench>(new: impl AsyncFn() -> B) {
    tests!(new:
        a_lease_has_one_holder,
        names_are_told_apart,
        of_many_that_ask_at_once_one_gets_it,
        a_lease_that_is_renewed_stays,
        a_lease_that_is_not_renewed_lapses,
        a_lease_that_was_given_back_is_free_at_once,
        only_the_last_grant_counts,
        fencing_numbers_grow_from_tenure_to_tenure,
    );
}

async fn acquire(leases: &dyn Leases, name: &str, holder: &str) -> Option<Grant> {
    leases.acquire(name, holder).await.unwrap()
}

async fn a_lease_has_one_holder(bench: &impl LeasesBench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let grant = acquire(&*one, "chat.desk", "one").await.unwrap();
    assert_eq!((grant.name.as_str(), grant.holder.as_str()), ("chat.desk", "one"));
    assert_eq!(acquire(&*two, "chat.desk", "two").await, None);
    assert_eq!(acquire(&*one, "chat.desk", "one").await, None, "nor may the same holder have it twice");
}

async fn names_are_told_apart(bench: &impl LeasesBench) {
    let leases = bench.open().await;
    let long = "x".repeat(200);
    for name in ["a", "a.b", "a_b", "a-b", "A", "b", "a.b.c", long.as_str()] {
        assert!(acquire(&*leases, name, "one").await.is_some(), "{name}");
        assert!(acquire(&*leases, name, "two").await.is_none(), "{name}");
    }
}

async fn of_many_that_ask_at_once_one_gets_it(bench: &impl LeasesBench) {
    let handles = join_all((0..16).map(|_| bench.open())).await;
    for round in 0..5 {
        let name = format!("round-{round}");
        let grants = join_all(handles.iter().map(|leases| acquire(&**leases, &name, "one"))).await;
        assert_eq!(grants.iter().flatten().count(), 1, "round {round}");
    }
}

async fn a_lease_that_is_renewed_stays(bench: &impl LeasesBench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let mut grant = acquire(&*one, "chat.desk", "one").await.unwrap();
    for _ in 0..6 {
        bench.pass(bench.lifetime() / 3).await;
        let renewed = one.renew(&grant).await.unwrap().expect("nobody else has it");
        assert!(renewed.revision > grant.revision);
        assert_eq!(renewed.fence, grant.fence, "it is the same tenure");
        grant = renewed;
        assert_eq!(acquire(&*two, "chat.desk", "two").await, None);
    }
}

async fn a_lease_that_is_not_renewed_lapses(bench: &impl LeasesBench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let lapsed = acquire(&*one, "chat.desk", "one").await.unwrap();
    bench.pass(bench.lifetime() + bench.lifetime() / 3).await;
    assert_eq!(one.renew(&lapsed).await.unwrap(), None, "it lapsed, though nobody took it");
    let grant = acquire(&*two, "chat.desk", "two").await.expect("it is free");
    assert_eq!(one.renew(&lapsed).await.unwrap(), None);
    one.release(&lapsed).await.unwrap();
    assert!(two.renew(&grant).await.unwrap().is_some(), "who lost it cannot take it from who has it");
}

async fn a_lease_that_was_given_back_is_free_at_once(bench: &impl LeasesBench) {
    let (one, two) = (bench.open().await, bench.open().await);
    for round in 0..4 {
        let grant = acquire(&*one, "chat.desk", "one").await.unwrap_or_else(|| panic!("it is free in round {round}"));
        let grant = one.renew(&grant).await.unwrap().unwrap();
        one.release(&grant).await.unwrap();
        assert_eq!(one.renew(&grant).await.unwrap(), None);
        one.release(&grant).await.unwrap();
        let other = acquire(&*two, "chat.desk", "two").await.unwrap();
        two.release(&other).await.unwrap();
    }
}

async fn only_the_last_grant_counts(bench: &impl LeasesBench) {
    let leases = bench.open().await;
    let first = acquire(&*leases, "chat.desk", "one").await.unwrap();
    let second = leases.renew(&first).await.unwrap().unwrap();
    assert_eq!(leases.renew(&first).await.unwrap(), None, "a grant is compared by its revision");
    leases.release(&first).await.unwrap();
    let third = leases.renew(&second).await.unwrap().expect("the second grant is still good");
    let both = futures::join!(leases.renew(&third), leases.renew(&third));
    let renewed = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(renewed.iter().flatten().count(), 1, "of two renewals at once one counts");
}

async fn fencing_numbers_grow_from_tenure_to_tenure(bench: &impl LeasesBench) {
    let (one, two) = (bench.open().await, bench.open().await);
    let mut last = 0;
    for round in 0..6 {
        let leases = if round % 2 == 0 { &one } else { &two };
        let grant = acquire(&**leases, "chat.desk", "somebody").await.unwrap();
        assert!(grant.fence > last, "{} after {last}", grant.fence);
        let grant = leases.renew(&grant).await.unwrap().unwrap();
        last = grant.revision;
        if round % 3 == 2 {
            bench.pass(bench.lifetime() + bench.lifetime() / 3).await;
        } else {
            leases.release(&grant).await.unwrap();
        }
    }
}
