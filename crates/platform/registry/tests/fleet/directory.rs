use std::sync::Arc;

use bookworm_registry::{
    Announcer, Directory, Instance, Load, MemoryRegistry, Registry, State,
    contract::{instance, verdict},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Far, HANGS, Link, REFUSES, UP, seconds};

/// One registry, a directory that follows it over a link, and instances that announce themselves directly.
struct Fleet {
    registry: MemoryRegistry,
    link: Link,
    directory: Directory,
    stop: CancellationToken,
}

impl Fleet {
    fn new() -> Self {
        let (registry, link, stop) = (MemoryRegistry::new(), Link::default(), CancellationToken::new());
        let far = Far { store: registry.clone(), link: link.clone() };
        let (directory, follower) = Directory::following(Arc::new(far));
        let until = stop.clone();
        tokio::spawn(async move { follower.run(until).await });
        Self { registry, link, directory, stop }
    }

    /// An instance that announces itself until the token is cancelled, or the task is aborted (a crash).
    fn start(&self, id: &str) -> (Announcer, CancellationToken, tokio::task::JoinHandle<()>) {
        self.start_as(instance("catalog", id))
    }

    fn start_as(&self, instance: Instance) -> (Announcer, CancellationToken, tokio::task::JoinHandle<()>) {
        let announcer = Announcer::new(Arc::new(self.registry.clone()), instance, Load::default);
        let stop = self.stop.child_token();
        let (running, until) = (announcer.clone(), stop.clone());
        (announcer, stop, tokio::spawn(async move { running.run(until).await }))
    }

    fn ids(&self) -> Vec<String> {
        let view = self.directory.view();
        view.of("catalog").map(|member| member.instance.id().to_owned()).collect()
    }

    fn out(&self) -> Vec<String> {
        let view = self.directory.view();
        view.members.iter().filter(|m| m.verdict.is_some()).map(|m| m.instance.id().to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn who_ends_is_dropped_at_once_and_who_dies_after_15_seconds() {
    let fleet = Fleet::new();
    let (_, ends, _) = fleet.start("ends");
    let (_, _, dies) = fleet.start("dies");
    let _stays = fleet.start("stays");
    sleep(seconds(60)).await;
    assert_eq!(fleet.ids(), ["dies", "ends", "stays"]);
    ends.cancel();
    dies.abort();
    sleep(seconds(1)).await;
    assert_eq!(fleet.ids(), ["dies", "stays"]);
    sleep(seconds(15)).await;
    assert_eq!(fleet.ids(), ["stays"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_known_at_once() {
    let fleet = Fleet::new();
    let (announcer, ..) = fleet.start("one");
    sleep(seconds(3)).await;
    announcer.change(|instance| instance.state = State::Draining);
    sleep(seconds(1)).await;
    assert_eq!(fleet.directory.view().members[0].instance.state, State::Draining);
}

#[tokio::test(start_paused = true)]
async fn the_last_list_stays_while_the_registry_is_away() {
    for away in [REFUSES, HANGS] {
        let fleet = Fleet::new();
        let _one = fleet.start("one");
        let (_, ends, _) = fleet.start("ends");
        sleep(seconds(3)).await;
        fleet.link.set(away);
        ends.cancel();
        sleep(seconds(300)).await;
        assert_eq!(fleet.ids(), ["ends", "one"]);
        assert!(!fleet.directory.view().current);
        fleet.link.set(UP);
        sleep(seconds(5)).await;
        assert!(fleet.directory.view().current);
        sleep(seconds(15)).await;
        assert_eq!(fleet.ids(), ["one"], "who is gone meanwhile goes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_was_restarted_empty_loses_nobody() {
    let fleet = Fleet::new();
    let one = instance("catalog", "one");
    fleet.registry.announce(&one).await.unwrap();
    sleep(seconds(3)).await;
    fleet.link.set(REFUSES);
    // The entry expires in the registry, which is away for the instance as well.
    sleep(seconds(60)).await;
    assert!(fleet.registry.list().await.unwrap().instances.is_empty());
    fleet.link.set(UP);
    for _ in 0..10 {
        sleep(seconds(1)).await;
        assert_eq!(fleet.ids(), ["one"]);
    }
    let _again = fleet.start_as(one);
    sleep(seconds(60)).await;
    assert_eq!(fleet.ids(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn changes_that_were_lost_are_found_by_the_next_list() {
    let fleet = Fleet::new();
    let _one = fleet.start("one");
    sleep(seconds(3)).await;
    // A watch that was cut and does not say so, for less than anybody notices by other means.
    fleet.link.set(HANGS);
    let _two = fleet.start("two");
    sleep(seconds(1)).await;
    fleet.link.set(UP);
    sleep(seconds(30)).await;
    assert_eq!(fleet.ids(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_was_overrun_lists_again() {
    let fleet = Fleet::new();
    let _one = fleet.start("one");
    sleep(seconds(3)).await;
    for n in 0..3_000 {
        fleet.registry.announce(&instance("basket", &format!("n{}", n % 3))).await.unwrap();
    }
    sleep(seconds(1)).await;
    assert_eq!(fleet.directory.view().members.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_ends_by_itself_even_while_the_registry_is_away() {
    for away in [UP, REFUSES, HANGS] {
        let fleet = Fleet::new();
        let _one = fleet.start("one");
        fleet.registry.judge(&verdict(&instance("catalog", "one"))).await.unwrap();
        sleep(seconds(1)).await;
        assert_eq!(fleet.out(), ["one"]);
        fleet.link.set(away);
        sleep(seconds(20)).await;
        assert_eq!((fleet.out(), fleet.ids()), (vec![], vec!["one".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_is_repeated_stays_and_says_nothing_of_the_next_process() {
    let fleet = Fleet::new();
    let sick = instance("catalog", "one");
    let (_, _, sick_process) = fleet.start_as(sick.clone());
    for _ in 0..10 {
        fleet.registry.judge(&verdict(&sick)).await.unwrap();
        sleep(seconds(5)).await;
        assert_eq!(fleet.out(), ["one"]);
    }
    sick_process.abort();
    let _next = fleet.start_as(Instance { generation: sick.generation + 1, ..sick.clone() });
    sleep(seconds(1)).await;
    assert_eq!(fleet.out(), [""; 0]);
    // What the process before says late does not bring it back.
    fleet.registry.announce(&sick).await.unwrap();
    sleep(seconds(1)).await;
    assert_eq!(fleet.out(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_announcer_goes_on_when_the_registry_is_back() {
    let (registry, link) = (MemoryRegistry::new(), Link::default());
    let far = Far { store: registry.clone(), link: link.clone() };
    let announcer = Announcer::new(Arc::new(far), instance("catalog", "one"), Load::default);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { announcer.run(stop).await }
    });
    for away in [REFUSES, HANGS] {
        link.set(away);
        sleep(seconds(100)).await;
        assert!(registry.list().await.unwrap().instances.is_empty());
        link.set(UP);
        sleep(seconds(4)).await;
        assert_eq!(registry.list().await.unwrap().instances.len(), 1);
    }
    stop.cancel();
    running.await.unwrap();
    assert!(registry.list().await.unwrap().instances.is_empty());
}

#[test]
fn an_entry_of_another_release_can_be_read() {
    let later = r#"{"key":"catalog.one","generation":1,"grpc":"http://h:1","version":"9","state":"thinking",
        "mood":{"good":true},"load":{"requests":3,"temperature":20}}"#;
    let read: Instance = serde_json::from_str(later).unwrap();
    assert_eq!((read.state, read.load.requests, read.http), (State::Unknown, 3, None));
    let written = serde_json::to_string(&instance("catalog", "one")).unwrap();
    assert_eq!(serde_json::from_str::<Instance>(&written).unwrap(), instance("catalog", "one"));
    for broken in ["catalog", "catalog.", ".one", "a b.c", "a.b.c", "ü.x"] {
        assert!(serde_json::from_str::<Instance>(&later.replace("catalog.one", broken)).is_err(), "{broken}");
    }
}
