use std::{collections::BTreeMap, time::Duration};

use bookworm_kernel::Timestamp;
use bookworm_registry::{Instance, Key, LIFETIME, Load, Member, State, Verdict};
use proptest::prelude::*;

use super::judgment::{Answer, Heard, Judgment, Rulings};

const START: Timestamp = bookworm_testing::NOW;
const ROUND: Duration = Duration::from_secs(2);

fn key(role: &str, id: &str) -> Key {
    Key::new(role, id).unwrap()
}

fn instance(role: &str, id: &str) -> Instance {
    Instance {
        key: key(role, id),
        generation: 1,
        grpc: Some("http://127.0.0.1:1/".to_owned()),
        http: None,
        version: "1.0.0".to_owned(),
        zone: String::new(),
        state: State::Ready,
        capabilities: Vec::new(),
        load: Load::default(),
    }
}

/// A fleet, its monitor, and a registry that does what the monitor says.
struct World {
    now: Timestamp,
    instances: Vec<Instance>,
    judgment: Judgment,
    /// With when each was written.
    verdicts: BTreeMap<Key, (Verdict, Timestamp)>,
}

impl World {
    fn new(instances: Vec<Instance>) -> Self {
        Self { now: START, instances, judgment: Judgment::default(), verdicts: BTreeMap::new() }
    }

    /// Two of one role, and enough others to see that the monitor is not cut off.
    fn of_two() -> Self {
        Self::new(vec![
            instance("catalog", "a"),
            instance("catalog", "b"),
            instance("basket", "c"),
            instance("chat", "d"),
        ])
    }

    fn round(&mut self, answer: impl Fn(&Instance) -> Option<Answer>) -> Rulings {
        self.now = self.now.plus(ROUND);
        let now = self.now;
        self.verdicts.retain(|_, (_, at)| now.since(*at) < LIFETIME);
        let heard = |instance: &Instance| {
            let verdict = self.verdicts.get(&instance.key).map(|(verdict, _)| verdict);
            let verdict = verdict.filter(|verdict| verdict.generation == instance.generation).cloned();
            Heard { member: Member { instance: instance.clone(), verdict }, answer: answer(instance) }
        };
        let round: Vec<Heard> = self.instances.iter().map(heard).collect();
        let rulings = self.judgment.hear(&round, now);
        for verdict in &rulings.judged {
            self.verdicts.insert(verdict.key.clone(), (verdict.clone(), now));
        }
        rulings.acquitted.iter().for_each(|key| drop(self.verdicts.remove(key)));
        rulings
    }

    /// A round in which these processes do not answer, and all others do.
    fn silent(&mut self, ids: &[&str]) -> Rulings {
        self.round(|instance| Some(if ids.contains(&instance.id()) { Answer::Late } else { Answer::Well }))
    }

    fn out(&self) -> Vec<String> {
        self.verdicts.keys().map(ToString::to_string).collect()
    }
}

#[test]
fn three_misses_are_out_and_two_hits_are_back() {
    let mut world = World::of_two();
    world.silent(&[]);
    let first = world.now.plus(ROUND);
    for misses in 1..=2 {
        assert_eq!(world.silent(&["a"]), Rulings::default(), "{misses}");
    }
    let rulings = world.silent(&["a"]);
    let verdict = &rulings.judged[0];
    assert_eq!((verdict.key.to_string(), verdict.since), ("catalog.a".to_owned(), first));
    assert_eq!(verdict.reason, "it does not answer in time");
    assert_eq!(world.silent(&["a"]).judged, rulings.judged, "the same again, so that it does not lapse");
    assert_eq!(world.silent(&[]).judged, rulings.judged, "one hit is not enough");
    assert_eq!(world.silent(&[]).acquitted, [key("catalog", "a")]);
    assert_eq!(world.silent(&[]), Rulings::default());
}

#[test]
fn who_answers_now_and_then_stays_what_it_is() {
    let mut world = World::of_two();
    let flap = |world: &mut World| {
        for _ in 0..5 {
            world.silent(&["a"]);
            world.silent(&["a"]);
            world.silent(&[]);
        }
    };
    flap(&mut world);
    assert!(world.out().is_empty());
    for _ in 0..3 {
        world.silent(&["a"]);
    }
    flap(&mut world);
    assert_eq!(world.out(), ["catalog.a"]);
}

#[test]
fn every_bad_answer_counts_and_is_named() {
    for (answer, reason) in [
        (Answer::NotReady, "it answers that it is not ready"),
        (Answer::Refused, "it refuses health checks"),
        (Answer::Unreachable, "it cannot be reached"),
    ] {
        let mut world = World::of_two();
        let bad = |instance: &Instance| Some(if instance.id() == "a" { answer } else { Answer::Well });
        for _ in 0..2 {
            world.round(bad);
        }
        assert_eq!(world.round(bad).judged[0].reason, reason);
    }
}

#[test]
fn half_of_a_role_is_out_at_most_and_one_may_be() {
    let mut world = World::new(["a", "b", "c", "d", "e"].map(|id| instance("catalog", id)).into());
    world.instances.extend(["f", "g", "h", "i"].map(|id| instance("basket", id)));
    for _ in 0..5 {
        world.silent(&["a", "b", "c", "d"]);
    }
    assert_eq!(world.out(), ["catalog.a", "catalog.b"]);
    world.silent(&["a", "b", "c"]);
    for _ in 0..3 {
        world.silent(&["b", "c"]);
    }
    assert_eq!(world.out(), ["catalog.b", "catalog.c"], "the place of one that is back goes to the next");

    // Others leave, so that two would be more than half: who is out for longest stays out.
    world.instances.retain(|instance| !["d", "e"].contains(&instance.id()));
    world.silent(&["b", "c"]);
    assert_eq!(world.out(), ["catalog.b"]);

    let mut alone = World::new(vec![instance("catalog", "a"), instance("basket", "b"), instance("chat", "c")]);
    for _ in 0..3 {
        alone.silent(&["a"]);
    }
    assert_eq!(alone.out(), ["catalog.a"]);
}

#[test]
fn a_monitor_that_hears_less_than_half_judges_nobody() {
    let mut world = World::of_two();
    for _ in 0..3 {
        world.silent(&["a"]);
    }
    for round in 0..20 {
        let rulings = world.silent(&["a", "b", "c"]);
        assert_eq!(rulings, Rulings { blind: true, ..Rulings::default() }, "{round}");
    }
    assert!(world.out().is_empty(), "what was judged before has lapsed");
    for misses in 1..=2 {
        assert_eq!(world.silent(&["a", "b"]), Rulings::default(), "what it missed then does not count: {misses}");
    }
    assert_eq!(world.silent(&["a", "b"]).judged.len(), 1, "half is enough");
}

#[test]
fn a_process_counts_once_whatever_its_roles() {
    let roles = ["basket", "chat", "finance", "identity"];
    let mut world = World::new(roles.map(|role| instance(role, "many")).into());
    world.instances.push(instance("catalog", "a"));
    world.instances.push(instance("catalog", "b"));
    for _ in 0..4 {
        let rulings = world.silent(&["a", "b"]);
        assert!(rulings.blind, "one of three processes answers, though it has four of six roles");
    }
}

#[test]
fn who_was_not_asked_is_neither_judged_nor_counted_as_heard() {
    let mut world = World::of_two();
    let asked = |instance: &Instance| match instance.id() {
        "b" | "c" | "d" => None,
        _ => Some(Answer::Late),
    };
    for _ in 0..4 {
        assert!(world.round(asked).blind, "the only one that was asked is silent");
    }
    let asked = |instance: &Instance| match instance.id() {
        "b" => None,
        "a" => Some(Answer::Late),
        _ => Some(Answer::Well),
    };
    for _ in 0..3 {
        world.round(asked);
    }
    assert_eq!(world.out(), ["catalog.a"], "b is ready too, so that one of two may go");
}

#[test]
fn only_who_says_that_it_is_ready_is_judged() {
    for state in [State::Starting, State::Draining, State::Unknown] {
        let mut world = World::of_two();
        world.instances[0].state = state;
        for _ in 0..5 {
            assert_eq!(world.silent(&["a"]), Rulings::default());
        }
        world.instances[0].state = State::Ready;
        world.silent(&["a"]);
        assert_eq!(world.silent(&["a"]), Rulings::default(), "earlier misses do not count");
    }
}

#[test]
fn the_next_monitor_goes_on() {
    let mut world = World::of_two();
    for _ in 0..3 {
        world.silent(&["a"]);
    }
    let verdict = world.verdicts[&key("catalog", "a")].0.clone();
    world.judgment = Judgment::default();
    assert_eq!(world.silent(&["a"]).judged, [verdict], "with the same reason, since the same time");
    world.judgment = Judgment::default();
    world.silent(&[]);
    assert_eq!(world.silent(&[]).acquitted, [key("catalog", "a")]);
}

#[test]
fn the_next_process_begins_anew() {
    let mut world = World::of_two();
    for _ in 0..3 {
        world.silent(&["a"]);
    }
    world.instances[0].generation += 1;
    for _ in 0..2 {
        assert_eq!(world.silent(&["a"]), Rulings::default());
    }
    assert_eq!(world.silent(&["a"]).judged[0].generation, 2);
}

#[test]
fn after_a_long_pause_earlier_misses_do_not_count() {
    let mut world = World::of_two();
    world.silent(&["a"]);
    world.silent(&["a"]);
    world.now = world.now.plus(Duration::from_secs(60));
    assert_eq!(world.silent(&["a"]), Rulings::default());
    world.silent(&["a"]);
    assert_eq!(world.silent(&["a"]).judged.len(), 1);
}

fn answers() -> impl Strategy<Value = Option<Answer>> {
    prop_oneof![
        6 => Just(Some(Answer::Well)),
        4 => Just(Some(Answer::Late)),
        1 => Just(Some(Answer::Unreachable)),
        1 => Just(Some(Answer::NotReady)),
        1 => Just(None),
    ]
}

/// What happens to one instance: how many rounds it lasts, what it answers, and whether it is there and ready.
type Phase = (usize, Option<Answer>, bool, bool);

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    prop::collection::vec((1..6_usize, answers(), prop::bool::weighted(0.9), prop::bool::weighted(0.9)), 1..12)
}

proptest! {
    #[test]
    fn the_rules_hold_whatever_happens(
        lives in prop::collection::vec((0..3_usize, phases()), 1..10),
        monitors in prop::collection::vec(prop::bool::weighted(0.05), 40),
    ) {
        let roles = ["catalog", "basket", "chat"];
        let mut world = World::new(Vec::new());
        // Of each instance: bad answers in a row that count, good answers in a row.
        let mut streaks: BTreeMap<Key, (u32, u32)> = BTreeMap::new();
        for (round, next_monitor) in monitors.into_iter().enumerate() {
            let mut answers = BTreeMap::new();
            world.instances.clear();
            for (number, (role, phases)) in lives.iter().enumerate() {
                let mut rest = round % phases.iter().map(|phase| phase.0).sum::<usize>();
                let (_, answer, there, ready) = phases.iter().find(|phase| {
                    let now = rest < phase.0;
                    rest = rest.saturating_sub(phase.0);
                    now
                }).unwrap();
                let mut one = instance(roles[*role], &format!("i{number}"));
                if !ready {
                    one.state = State::Draining;
                }
                if *there {
                    answers.insert(one.key.clone(), *answer);
                    world.instances.push(one);
                }
            }
            if next_monitor {
                world.judgment = Judgment::default();
                streaks.clear();
            }
            let before = world.out();
            let rulings = world.round(|instance| answers[&instance.key]);
            let judgeable = |key: &Key| {
                world.instances.iter().any(|one| one.key == *key && one.state == State::Ready) && answers[key].is_some()
            };
            streaks.retain(|key, _| judgeable(key));
            for (key, answer) in &answers {
                let Some(answer) = answer.filter(|_| judgeable(key)) else { continue };
                let streak = streaks.entry(key.clone()).or_default();
                *streak = match answer {
                    Answer::Well => (0, streak.1 + 1),
                    _ if rulings.blind => (0, streak.1),
                    _ => (streak.0 + 1, 0),
                };
            }
            let heard = answers.values().flatten().filter(|answer| !matches!(answer, Answer::Late | Answer::Unreachable));
            prop_assert_eq!(rulings.blind, heard.count() * 2 < answers.values().flatten().count());
            if rulings.blind {
                prop_assert!(rulings.judged.is_empty(), "a blind monitor judges nobody");
            }
            for verdict in &rulings.judged {
                let renewed = before.contains(&verdict.key.to_string());
                prop_assert!(renewed || streaks[&verdict.key].0 >= 3, "a verdict without its misses: {verdict:?}");
                prop_assert!(streaks[&verdict.key].1 < 2, "one that answers is out: {verdict:?}");
            }
            for role in roles.into_iter().filter(|_| !rulings.blind) {
                let ready = world.instances.iter().filter(|one| one.role() == role && one.state == State::Ready).count();
                let out = rulings.judged.iter().filter(|verdict| verdict.key.role() == role).count();
                prop_assert!(out <= (ready / 2).max(1), "{out} of {ready} are out");
            }
        }
        // When all is well again, all are back.
        for _ in 0..2 {
            world.instances.iter_mut().for_each(|one| one.state = State::Ready);
            world.round(|_| Some(Answer::Well));
        }
        let there: Vec<Key> = world.instances.iter().map(|one| one.key.clone()).collect();
        prop_assert!(world.verdicts.keys().all(|key| !there.contains(key)), "{:?}", world.out());
    }
}
