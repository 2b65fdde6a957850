//! The suite for registries.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bookworm_kernel::Timestamp;
use futures::{StreamExt, future::join_all};

use super::{RegistryBench, tests};
use crate::{Change, Changes, Directory, Instance, Key, Load, Registry, State, Verdict};

/// Longer than any change takes to arrive.
const SOON: Duration = Duration::from_secs(20);

/// Runs the whole suite, each test on a bench of its own.
///
/// # Panics
/// When the registry breaks the contract.
pub async fn run<B: RegistryBench>(new: impl AsyncFn() -> B) {
    tests!(new:
        an_instance_is_listed_for_everybody_as_it_was_announced,
        an_announcement_takes_the_place_of_the_one_before,
        an_instance_that_withdraws_is_gone_and_may_come_back,
        roles_and_instances_are_told_apart,
        an_instance_that_is_not_announced_again_expires,
        a_verdict_is_listed_until_it_is_deleted,
        a_verdict_expires_by_itself,
        a_verdict_and_its_instance_do_not_touch_each_other,
        whoever_watches_hears_every_kind_of_change,
        each_watcher_hears_everything,
        whoever_watches_and_then_lists_misses_nothing,
        a_directory_follows_it,
    );
}

/// An instance for tests.
#[must_use]
pub fn instance(role: &str, id: &str) -> Instance {
    Instance {
        key: Key::new(role, id).unwrap(),
        generation: 1_800_000_000_000_000,
        grpc: Some("http://127.0.0.1:9100".to_owned()),
        http: None,
        version: "1.2.3".to_owned(),
        zone: String::new(),
        state: State::Ready,
        capabilities: Vec::new(),
        load: Load::default(),
    }
}

/// A verdict on it, for tests.
#[must_use]
pub fn verdict(instance: &Instance) -> Verdict {
    Verdict {
        key: instance.key.clone(),
        generation: instance.generation,
        reason: "3 checks failed".to_owned(),
        since: Timestamp::from_micros(1_800_000_060_000_000),
    }
}

async fn instances(registry: &dyn Registry) -> Vec<Instance> {
    let mut all: Vec<_> = registry.list().await.unwrap().instances.into_iter().map(|entry| entry.value).collect();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

async fn verdicts(registry: &dyn Registry) -> Vec<Verdict> {
    registry.list().await.unwrap().verdicts.into_iter().map(|entry| entry.value).collect()
}

async fn next(changes: &mut Changes) -> Change {
    let change = tokio::time::timeout(SOON, changes.next()).await.expect("a change is heard soon");
    change.expect("the watch goes on")
}

async fn an_instance_is_listed_for_everybody_as_it_was_announced(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    assert_eq!(instances(&*registry).await, []);
    let full = Instance {
        http: Some("https://[::1]:9101/internal".to_owned()),
        zone: "köln/1".to_owned(),
        state: State::Draining,
        capabilities: vec!["search".to_owned(), "a \"word\"".to_owned()],
        load: Load { requests: u64::MAX, open_breakers: vec!["chat.ai".to_owned()], ejected: vec!["ai.b2".to_owned()] },
        ..instance("catalog", "host-1_A")
    };
    registry.announce(&full).await.unwrap();
    assert_eq!(instances(&*registry).await, std::slice::from_ref(&full));
    assert_eq!(instances(&*bench.open().await).await, [full], "another process sees it too");
}

async fn an_announcement_takes_the_place_of_the_one_before(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let mut revisions = Vec::new();
    for state in [State::Starting, State::Ready, State::Ready, State::Draining] {
        let now = Instance { state, ..instance("catalog", "one") };
        registry.announce(&now).await.unwrap();
        let listing = registry.list().await.unwrap();
        assert_eq!(listing.instances.len(), 1);
        assert_eq!(listing.instances[0].value, now);
        revisions.push(listing.instances[0].revision);
        assert_eq!(registry.list().await.unwrap(), listing, "a list changes nothing");
    }
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later), "{revisions:?} grow, even without a change");
}

async fn an_instance_that_withdraws_is_gone_and_may_come_back(bench: &impl RegistryBench) {
    let (registry, other) = (bench.open().await, bench.open().await);
    let (one, two) = (instance("catalog", "one"), instance("catalog", "two"));
    registry.withdraw(&one.key).await.unwrap();
    for round in 0..3 {
        registry.announce(&one).await.unwrap();
        registry.announce(&two).await.unwrap();
        assert_eq!(instances(&*other).await, [one.clone(), two.clone()], "round {round}");
        other.withdraw(&one.key).await.unwrap();
        other.withdraw(&one.key).await.unwrap();
        assert_eq!(instances(&*registry).await, std::slice::from_ref(&two), "round {round}");
    }
}

async fn roles_and_instances_are_told_apart(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let long = "x".repeat(64);
    let all: Vec<_> = [("a", "b"), ("a", "b-b"), ("a-b", "b"), ("A", "b"), ("a", "B"), ("b", "a"), ("_", "-")]
        .into_iter()
        .chain([("a", long.as_str()), (long.as_str(), "b")])
        .map(|(role, id)| instance(role, id))
        .collect();
    join_all(all.iter().map(|instance| registry.announce(instance))).await.into_iter().for_each(|done| done.unwrap());
    let keys = |instances: &[Instance]| instances.iter().map(|each| each.key.clone()).collect::<BTreeSet<_>>();
    assert_eq!(keys(&instances(&*registry).await), keys(&all));
    registry.withdraw(&all[0].key).await.unwrap();
    assert_eq!(keys(&instances(&*registry).await), keys(&all[1..]));
}

async fn an_instance_that_is_not_announced_again_expires(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let (silent, lively) = (instance("catalog", "silent"), instance("catalog", "lively"));
    registry.announce(&silent).await.unwrap();
    registry.announce(&lively).await.unwrap();
    for _ in 0..4 {
        bench.pass(bench.lifetime() / 3).await;
        registry.announce(&lively).await.unwrap();
    }
    assert_eq!(instances(&*registry).await, [lively]);
    registry.announce(&silent).await.unwrap();
    assert_eq!(instances(&*registry).await.len(), 2, "an instance that expired may come back");
}

async fn a_verdict_is_listed_until_it_is_deleted(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let judged = verdict(&instance("catalog", "one"));
    registry.acquit(&judged.key).await.unwrap();
    registry.judge(&judged).await.unwrap();
    assert_eq!(verdicts(&*bench.open().await).await, std::slice::from_ref(&judged));
    let again = Verdict { reason: "4 checks failed: \"no route\"".to_owned(), ..judged };
    registry.judge(&again).await.unwrap();
    assert_eq!(verdicts(&*registry).await, std::slice::from_ref(&again));
    registry.acquit(&again.key).await.unwrap();
    assert_eq!(verdicts(&*registry).await, []);
}

async fn a_verdict_expires_by_itself(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    registry.judge(&verdict(&instance("catalog", "one"))).await.unwrap();
    bench.pass(bench.lifetime() + bench.lifetime() / 3).await;
    assert_eq!(verdicts(&*registry).await, []);
}

async fn a_verdict_and_its_instance_do_not_touch_each_other(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let one = instance("catalog", "one");
    registry.judge(&verdict(&one)).await.unwrap();
    registry.announce(&one).await.unwrap();
    assert_eq!(verdicts(&*registry).await.len(), 1);
    registry.withdraw(&one.key).await.unwrap();
    assert_eq!(verdicts(&*registry).await.len(), 1);
    registry.announce(&one).await.unwrap();
    registry.acquit(&one.key).await.unwrap();
    assert_eq!(instances(&*registry).await, [one]);
}

async fn whoever_watches_hears_every_kind_of_change(bench: &impl RegistryBench) {
    let (registry, other) = (bench.open().await, bench.open().await);
    let one = instance("catalog", "one");
    registry.announce(&instance("catalog", "before")).await.unwrap();
    let mut changes = registry.watch().await.unwrap();
    let mut last = 0;
    for state in [State::Starting, State::Ready, State::Ready] {
        let now = Instance { state, ..one.clone() };
        other.announce(&now).await.unwrap();
        let Change::Announced(heard) = next(&mut changes).await else { panic!("an announcement is heard") };
        assert_eq!(heard.value, now);
        assert!(heard.revision > last);
        last = heard.revision;
    }
    assert_eq!(registry.list().await.unwrap().instances.iter().map(|entry| entry.revision).max(), Some(last));
    other.judge(&verdict(&one)).await.unwrap();
    let Change::Judged(heard) = next(&mut changes).await else { panic!("a verdict is heard") };
    assert_eq!(heard.value, verdict(&one));
    other.acquit(&one.key).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Acquitted(one.key.clone()));
    other.withdraw(&one.key).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Withdrawn(one.key));
}

async fn each_watcher_hears_everything(bench: &impl RegistryBench) {
    let (registry, other) = (bench.open().await, bench.open().await);
    let mut watchers = [registry.watch().await.unwrap(), registry.watch().await.unwrap(), other.watch().await.unwrap()];
    for n in 0..50 {
        registry.announce(&instance("catalog", &format!("n{n}"))).await.unwrap();
    }
    for changes in &mut watchers {
        for n in 0..50 {
            let Change::Announced(heard) = next(changes).await else { panic!("an announcement is heard") };
            assert_eq!(heard.value.id(), format!("n{n}"));
        }
    }
}

async fn whoever_watches_and_then_lists_misses_nothing(bench: &impl RegistryBench) {
    let (registry, other) = (bench.open().await, bench.open().await);
    let announce_all = async {
        for n in 0..60 {
            other.announce(&instance("catalog", &format!("n{n}"))).await.unwrap();
        }
    };
    let follow = async {
        let mut changes = registry.watch().await.unwrap();
        let listed = instances(&*registry).await;
        let mut seen: BTreeSet<_> = listed.into_iter().map(|instance| instance.id().to_owned()).collect();
        while seen.len() < 60 {
            if let Change::Announced(heard) = next(&mut changes).await {
                seen.insert(heard.value.id().to_owned());
            }
        }
    };
    futures::join!(announce_all, follow);
}

async fn a_directory_follows_it(bench: &impl RegistryBench) {
    let registry = bench.open().await;
    let (one, two) = (instance("catalog", "one"), instance("catalog", "two"));
    registry.announce(&one).await.unwrap();
    let (directory, follower) = Directory::following(Arc::clone(&registry));
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn({
        let stop = stop.clone();
        async move { follower.run(stop).await }
    });
    let sees = async |ids: &[&str], out: &[&str]| {
        let as_expected = |view: &crate::View| {
            let of = || view.of("catalog");
            view.current
                && of().map(|member| member.instance.id()).eq(ids.iter().copied())
                && of()
                    .filter(|member| member.verdict.is_some())
                    .map(|member| member.instance.id())
                    .eq(out.iter().copied())
        };
        tokio::time::timeout(SOON, directory.wait_until(as_expected))
            .await
            .unwrap_or_else(|_| panic!("expected {ids:?}, {out:?} out, but found {:?}", directory.view()));
    };
    sees(&["one"], &[]).await;
    let other = bench.open().await;
    other.announce(&two).await.unwrap();
    sees(&["one", "two"], &[]).await;
    other.judge(&verdict(&two)).await.unwrap();
    sees(&["one", "two"], &["two"]).await;
    other.acquit(&two.key).await.unwrap();
    sees(&["one", "two"], &[]).await;
    other.withdraw(&one.key).await.unwrap();
    sees(&["two"], &[]).await;
    stop.cancel();
    following.await.unwrap();
}
