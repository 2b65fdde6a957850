use std::time::Duration;

use bookworm_registry::State;
use bookworm_rpc::{EndpointStatus, Outcome};
use proptest::prelude::*;

use super::World;

/// What happens to a fleet of at most six instances.
#[derive(Debug, Clone)]
enum Event {
    Announce(u8, State),
    Leave(u8),
    Judge(u8, bool),
    /// So many calls, each to whoever is picked.
    Calls(u8, Outcome),
    /// So many failures of one instance.
    Fails(u8, u8),
    Pass(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let id = 0..6_u8;
    let state = prop_oneof![3 => Just(State::Ready), 1 => Just(State::Draining), 1 => Just(State::Starting)];
    let outcome = prop_oneof![Just(Outcome::Answered), Just(Outcome::Failed)];
    prop_oneof![
        4 => (id.clone(), state).prop_map(|(id, state)| Event::Announce(id, state)),
        1 => id.clone().prop_map(Event::Leave),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, out)| Event::Judge(id, out)),
        3 => (1..12_u8, outcome).prop_map(|(calls, outcome)| Event::Calls(calls, outcome)),
        2 => (id, 1..12_u8).prop_map(|(id, times)| Event::Fails(id, times)),
        2 => (1..20_u8).prop_map(Event::Pass),
    ]
}

/// What must hold of a pick, said anew from what is known of the instances.
fn check(all: &[EndpointStatus], picked: Option<&str>) {
    let ready: Vec<_> = all.iter().filter(|one| one.state == State::Ready).collect();
    let is_routable = |one: &EndpointStatus| one.state == State::Ready && !one.ejected && !one.judged_out;
    let routable = ready.iter().filter(|one| is_routable(one)).count();
    let ejected = ready.iter().filter(|one| one.ejected).count();
    assert!(ejected * 2 <= ready.len(), "at most half are ejected: {all:#?}");
    let Some(picked) = picked else {
        assert!(all.iter().all(|one| one.state == State::Starting), "somebody is there: {all:#?}");
        return;
    };
    let picked = all.iter().find(|one| one.key.id() == picked).expect("the one that was picked is known");
    if ready.is_empty() {
        assert_eq!(picked.state, State::Draining);
    } else {
        assert_eq!(picked.state, State::Ready, "who drains is not asked while another is ready: {all:#?}");
        assert!(is_routable(picked) || routable * 2 < ready.len(), "only in panic: {all:#?}");
    }
}

async fn run(events: Vec<Event>) {
    let mut world = World::with(&["i0", "i1"]).await;
    let name = |id: u8| format!("i{id}");
    for event in events {
        match event {
            Event::Announce(id, state) => world.set(&name(id), state).await,
            Event::Leave(id) => world.remove(&name(id)).await,
            Event::Judge(id, out) => world.judge(&name(id), out).await,
            Event::Pass(seconds) => world.pass(Duration::from_secs(seconds.into())).await,
            Event::Fails(id, times) => {
                for _ in 0..times {
                    if let Some(picked) = world.balancer.find(|instance| instance.id() == name(id)) {
                        picked.report(Outcome::Failed);
                    }
                }
            }
            Event::Calls(calls, outcome) => {
                for _ in 0..calls {
                    let all = world.balancer.endpoints();
                    let picked = world.balancer.pick_now(&[]);
                    check(&all, picked.as_ref().map(|picked| picked.instance().id()));
                    if let Some(picked) = picked {
                        picked.report(outcome);
                    }
                }
            }
        }
        let all = world.balancer.endpoints();
        check(&all, world.balancer.pick_now(&[]).as_ref().map(|picked| picked.instance().id()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold(events in proptest::collection::vec(event(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(events));
    }
}
