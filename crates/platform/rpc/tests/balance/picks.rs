use std::{collections::BTreeSet, time::Duration};

use bookworm_registry::{Instance, State};
use bookworm_rpc::{Balancer, Nobody, Outcome};
use tokio::time::Instant;

use super::{ROLE, World, instance, key};

const MS: Duration = Duration::from_millis(1);

/// Calls until the instance was asked and failed so often.
async fn fail(world: &World, id: &str, times: usize) {
    let mut failed = 0;
    // Picks go by load, and a failure counts as load: ask for it by name.
    while failed < times {
        let picked = world.balancer.find(|instance| instance.id() == id).unwrap();
        picked.report(Outcome::Failed);
        failed += 1;
    }
}

async fn picked(world: &World, calls: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..calls {
        ids.insert(world.call(MS, |_| Outcome::Answered).await);
    }
    ids
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn everybody_who_is_ready_has_a_share() {
    let world = World::with(&["one", "two", "three"]).await;
    assert_eq!(picked(&world, 200).await, set(&["one", "two", "three"]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_instance_gets_little() {
    let world = World::with(&["fast", "slow"]).await;
    let (mut fast, mut slow) = (0, 0);
    for _ in 0..1_000 {
        let picked = world.balancer.pick(&[]).await.unwrap();
        let is_slow = picked.connection() == "slow";
        *if is_slow { &mut slow } else { &mut fast } += 1;
        tokio::time::sleep(if is_slow { 500 * MS } else { 5 * MS }).await;
        picked.report(Outcome::Answered);
    }
    assert!(slow > 0, "it is tried again now and then");
    assert!(slow * 20 < fast, "{slow} against {fast}");
}

#[tokio::test(start_paused = true)]
async fn who_can_do_it_is_asked_before_who_cannot() {
    let mut world = World::with(&["one", "two", "three"]).await;
    let asked = async |world: &World, tried: &[_]| {
        let mut under_way = Vec::new();
        for _ in 0..100 {
            under_way.push(world.balancer.pick_able(tried, Some("search")).await.unwrap());
        }
        under_way.iter().map(|picked| picked.connection()).collect::<BTreeSet<_>>()
    };
    assert_eq!(asked(&world, &[]).await, set(&["one", "two", "three"]), "better anybody than nobody");
    world.give("two", &["search"]).await;
    assert_eq!(asked(&world, &[]).await, set(&["two"]));
    assert_eq!(picked(&world, 200).await, set(&["one", "two", "three"]), "for everything else");
    assert_eq!(asked(&world, &[key("two")]).await, set(&["one", "three"]), "when it has failed");
    world.give("three", &["more", "search"]).await;
    assert_eq!(asked(&world, &[]).await, set(&["two", "three"]));
    world.set("three", State::Draining).await;
    world.judge("two", true).await;
    assert_eq!(asked(&world, &[]).await, set(&["one"]), "one that is out can do nothing");
}

#[tokio::test(start_paused = true)]
async fn one_whose_stores_do_not_answer_it_is_asked_when_there_is_no_other() {
    const LOST: &str = Instance::WITHOUT_STORES;
    let mut world = World::with(&["one", "two", "three"]).await;
    world.give("one", &[LOST]).await;
    assert_eq!(picked(&world, 200).await, set(&["two", "three"]));
    world.give("two", &[LOST, "search"]).await;
    assert_eq!(picked(&world, 200).await, set(&["three"]));
    world.give("three", &[LOST]).await;
    assert_eq!(picked(&world, 200).await, set(&["one", "two", "three"]), "away from all: everybody answers so");
    world.give("one", &[]).await;
    assert_eq!(picked(&world, 200).await, set(&["one"]));
    world.set("one", State::Draining).await;
    assert_eq!(picked(&world, 200).await, set(&["two", "three"]), "better anybody than nobody");
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_count() {
    let world = World::with(&["one", "two"]).await;
    let under_way: Vec<_> = (0..100).map(|_| world.balancer.pick_now(&[]).unwrap()).collect();
    let ones = under_way.iter().filter(|picked| picked.connection() == "one").count();
    assert_eq!(ones, 50, "of two, the one with less to do");
    drop(under_way);
    assert_eq!(
        (world.status("one").pending, world.status("two").pending),
        (0, 0),
        "callers that gave up count no more"
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_starting_or_draining_or_judged_is_not_asked() {
    let mut world = World::with(&["one", "two", "three", "four"]).await;
    world.set("one", State::Starting).await;
    world.set("two", State::Draining).await;
    world.judge("three", true).await;
    assert_eq!(picked(&world, 100).await, set(&["four"]));
    world.judge("three", false).await;
    world.set("one", State::Ready).await;
    assert_eq!(picked(&world, 100).await, set(&["one", "three", "four"]));
}

#[tokio::test(start_paused = true)]
async fn who_drains_is_asked_when_nobody_else_is_left_and_who_starts_never() {
    let mut world = World::with(&["one", "two"]).await;
    world.set("one", State::Draining).await;
    world.set("two", State::Starting).await;
    assert_eq!(picked(&world, 20).await, set(&["one"]));
    world.remove("one").await;
    assert!(world.balancer.pick_now(&[]).is_none());
}

#[tokio::test(start_paused = true)]
async fn when_more_than_half_are_gone_everybody_ready_is_asked() {
    let mut world = World::with(&["one", "two", "three"]).await;
    world.set("four", State::Draining).await;
    world.judge("one", true).await;
    assert_eq!(picked(&world, 100).await, set(&["two", "three"]));
    world.judge("two", true).await;
    assert_eq!(picked(&world, 100).await, set(&["one", "two", "three"]), "one of three would be overrun");
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_eject() {
    let world = World::with(&["one", "two"]).await;
    fail(&world, "one", 4).await;
    world.balancer.find(|instance| instance.id() == "one").unwrap().report(Outcome::Answered);
    fail(&world, "one", 4).await;
    assert_eq!(world.ejected(), [""; 0], "never five in a row");
    fail(&world, "one", 1).await;
    assert_eq!(world.ejected(), ["one"]);
    assert_eq!(picked(&world, 50).await, set(&["two"]));
    // 50 calls of a millisecond each, and the rest.
    world.pass(5_000 * MS).await;
    assert_eq!(world.ejected(), [""; 0], "five seconds later it is back");
}

#[tokio::test(start_paused = true)]
async fn half_of_ten_calls_eject() {
    let world = World::with(&["one", "two"]).await;
    for outcome in [Outcome::Answered, Outcome::Failed].into_iter().cycle().take(9) {
        world.balancer.find(|instance| instance.id() == "one").unwrap().report(outcome);
    }
    assert_eq!(world.ejected(), [""; 0], "nine calls say too little");
    fail(&world, "one", 1).await;
    assert_eq!(world.ejected(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn ejections_grow_to_a_minute_and_are_forgiven() {
    let world = World::with(&["one", "two"]).await;
    let mut lasted = Vec::new();
    for _ in 0..14 {
        fail(&world, "one", 5).await;
        let began = Instant::now();
        while world.ejected() == ["one"] {
            world.pass(1_000 * MS).await;
        }
        lasted.push(began.elapsed().as_secs());
    }
    assert_eq!(lasted[..3], [5, 10, 15]);
    assert_eq!(lasted[11..], [60, 60, 60]);
    world.pass(60_000 * MS).await;
    fail(&world, "one", 5).await;
    world.pass(5_000 * MS).await;
    assert_eq!(world.ejected(), [""; 0], "after a good minute it is short again");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_half_are_ejected() {
    for (ids, most) in [(&["a"][..], 0), (&["a", "b"], 1), (&["a", "b", "c"], 1), (&["a", "b", "c", "d"], 2)] {
        let world = World::with(ids).await;
        for id in ids {
            fail(&world, id, 20).await;
        }
        assert_eq!(world.ejected().len(), most, "of {ids:?}");
        world.call(MS, |_| Outcome::Answered).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_others_leave_the_ejected_come_back() {
    let mut world = World::with(&["a", "b", "c", "d"]).await;
    fail(&world, "a", 5).await;
    world.pass(1_000 * MS).await;
    fail(&world, "b", 5).await;
    world.remove("c").await;
    assert_eq!(world.ejected(), ["b"], "of three one may be ejected; a would have been back first");
    world.remove("d").await;
    world.set("e", State::Draining).await;
    assert_eq!(world.ejected(), ["b"]);
    world.remove("a").await;
    assert_eq!(world.ejected(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_process_under_the_same_key_begins_anew() {
    let mut world = World::with(&["one", "two"]).await;
    fail(&world, "one", 5).await;
    let late = world.balancer.find(|instance| instance.id() == "one").unwrap();
    let next = bookworm_registry::Instance { generation: i64::MAX, ..instance("one") };
    bookworm_registry::Registry::announce(&world.registry, &next).await.unwrap();
    world.announced.insert("one".to_owned(), next);
    world.pass(MS).await;
    assert_eq!((world.ejected().len(), world.status("one").pending), (0, 0));
    late.report(Outcome::Failed);
    assert_eq!(world.status("one").pending, 0, "what was asked of the process before says nothing");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_goes_to_another_instance_where_there_is_one() {
    let world = World::with(&["one", "two", "three"]).await;
    for _ in 0..50 {
        let picked = world.balancer.pick(&[key("one"), key("three")]).await.unwrap();
        assert_eq!(picked.connection(), "two");
    }
    let all = [key("one"), key("two"), key("three")];
    assert!(world.balancer.pick(&all).await.is_ok(), "better one that failed than nobody");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_an_error_after_a_second_and_whoever_appears_before_is_asked() {
    let mut world = World::with(&[]).await;
    let began = Instant::now();
    assert_eq!(world.balancer.pick(&[]).await.unwrap_err(), Nobody(ROLE));
    assert!((1_000 * MS..1_010 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());

    let balancer: Balancer<String> = world.balancer.clone();
    let waiting = tokio::spawn(async move { balancer.pick(&[]).await.map(|picked| picked.connection()) });
    world.pass(700 * MS).await;
    world.set("late", State::Ready).await;
    assert_eq!(waiting.await.unwrap().unwrap(), "late");
}
