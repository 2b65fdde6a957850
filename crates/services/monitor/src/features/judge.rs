//! Asks everybody, judges, and writes what follows to the registry, each two seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bookworm_loops::Loop;
use bookworm_registry::{Key, Member};
use futures::future::{join, join_all};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::judgment::{Heard, Judgment, Rulings},
    service::Monitor,
};

/// From the beginning of one round to the beginning of the next.
const ROUND_EACH: Duration = Duration::from_secs(2);
/// How long the registry may take for what follows from a round.
const WRITE_WITHIN: Duration = Duration::from_secs(1);

/// In one of the monitors at a time: two would only do the same twice, as verdicts are the registry's.
pub fn each_round(monitor: Arc<Monitor>) -> Loop {
    Loop::new("monitor.judge", move |stop| run(monitor.clone(), stop)).leader_only()
}

async fn run(monitor: Arc<Monitor>, stop: CancellationToken) {
    let (mut judgment, mut shown) = (Judgment::default(), Shown::default());
    let mut rounds = tokio::time::interval(ROUND_EACH);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let all = async {
        loop {
            rounds.tick().await;
            monitor.round(&mut judgment, &mut shown).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = stop.cancelled() => {}
    }
    // Another monitor counts from here on.
    shown.show(&[], &Rulings::default());
}

impl Monitor {
    async fn round(&self, judgment: &mut Judgment, shown: &mut Shown) {
        let members = self.directory.view().members.clone();
        self.probe.retain(&members.iter().map(|member| &member.instance).collect::<Vec<_>>());
        let round = join_all(members.into_iter().map(|member| self.ask(member))).await;
        let rulings = judgment.hear(&round, self.clock.now());
        self.write(&rulings).await;
        shown.show(&round, &rulings);
    }

    async fn ask(&self, member: Member) -> Heard {
        let instance = &member.instance;
        let answer = if instance.id() == self.process || instance.grpc.is_none() {
            None
        } else {
            let asked = Instant::now();
            let answer = self.probe.ask(instance).await;
            let labels = [("role", instance.role().to_owned()), ("outcome", answer.name().to_owned())];
            metrics::histogram!("fleet_probe_seconds", &labels).record(asked.elapsed().as_secs_f64());
            Some(answer)
        };
        Heard { member, answer }
    }

    /// What is not written now follows from the next round as well.
    async fn write(&self, rulings: &Rulings) {
        let judged = join_all(rulings.judged.iter().map(|verdict| self.registry.judge(verdict)));
        let acquitted = join_all(rulings.acquitted.iter().map(|key| self.registry.acquit(key)));
        let failed = match tokio::time::timeout(WRITE_WITHIN, join(judged, acquitted)).await {
            Ok((judged, acquitted)) => judged.iter().chain(&acquitted).any(Result::is_err),
            Err(_) => true,
        };
        if failed {
            tracing::warn!("verdicts were not written: the registry does not answer");
        }
    }
}

/// What metrics and log say of the fleet.
#[derive(Debug, Default)]
struct Shown {
    /// Roles and states that there were once.
    counted: BTreeMap<(String, &'static str), usize>,
    /// Who was out.
    out: BTreeSet<Key>,
    /// Who was acquitted in the last round.
    back: BTreeSet<Key>,
    blind: bool,
}

impl Shown {
    fn show(&mut self, round: &[Heard], rulings: &Rulings) {
        self.counted.values_mut().for_each(|count| *count = 0);
        for Heard { member, .. } in round {
            let out = rulings.judged.iter().any(|verdict| verdict.key == member.instance.key);
            let state = if out { "out" } else { member.instance.state.name() };
            *self.counted.entry((member.instance.role().to_owned(), state)).or_default() += 1;
        }
        for ((role, state), count) in &self.counted {
            metrics::gauge!("fleet_instances", "role" => role.clone(), "state" => *state).set(*count as f64);
        }
        metrics::gauge!("fleet_monitor_blind").set(f64::from(u8::from(rulings.blind)));
        if rulings.blind != self.blind {
            match rulings.blind {
                true => tracing::warn!("less than half of the fleet answers: nobody is judged"),
                false => tracing::info!("at least half of the fleet answers"),
            }
            self.blind = rulings.blind;
        }
        self.report_verdicts(rulings);
    }

    /// Logs and counts what is new.
    fn report_verdicts(&mut self, rulings: &Rulings) {
        let count = |role: &str, verdict: &'static str| {
            metrics::counter!("fleet_verdicts_total", "role" => role.to_owned(), "verdict" => verdict).increment(1);
        };
        let out: BTreeSet<Key> = rulings.judged.iter().map(|verdict| verdict.key.clone()).collect();
        for verdict in rulings.judged.iter().filter(|verdict| !self.out.contains(&verdict.key)) {
            count(verdict.key.role(), "out");
            tracing::warn!(instance = %verdict.key, reason = verdict.reason, "an instance is judged out");
        }
        let back: BTreeSet<Key> = rulings.acquitted.iter().cloned().collect();
        for key in back.difference(&self.back) {
            count(key.role(), "back");
            tracing::info!(instance = %key, "an instance is asked again");
        }
        (self.out, self.back) = (out, back);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, OnceLock, PoisonError};

    use bookworm_registry::{Directory, Instance, LIFETIME, Load, MemoryRegistry, Registry, State, View};
    use bookworm_testing::clock;

    use super::*;
    use crate::{
        clients::{Probe, TIMEOUT},
        domain::judgment::Answer,
    };

    /// Processes that do not answer.
    #[derive(Clone, Default)]
    struct Silent(Arc<Mutex<BTreeSet<String>>>);

    impl Silent {
        fn set(&self, ids: &[&str]) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ids.iter().map(|id| (*id).to_owned()).collect();
        }
    }

    impl Probe for Silent {
        fn ask(&self, instance: &Instance) -> futures::future::BoxFuture<'static, Answer> {
            let silent = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(instance.id());
            Box::pin(async move {
                if !silent {
                    return Answer::Well;
                }
                tokio::time::sleep(TIMEOUT).await;
                Answer::Late
            })
        }

        fn retain(&self, _: &[&Instance]) {}
    }

    struct Fleet {
        registry: MemoryRegistry,
        directory: Directory,
        silent: Silent,
        stop: CancellationToken,
    }

    impl Fleet {
        /// Instances that announce themselves, a directory that follows, and a monitor in the process `m`.
        fn start(instances: &[(&'static str, &'static str)]) -> Self {
            let (registry, silent, stop) = (MemoryRegistry::new(), Silent::default(), CancellationToken::new());
            for (role, id) in instances {
                let instance = Instance {
                    key: Key::new(role, id).unwrap(),
                    generation: 1,
                    grpc: Some(format!("http://{id}/")),
                    http: None,
                    version: "1.0.0".to_owned(),
                    zone: String::new(),
                    state: State::Ready,
                    capabilities: Vec::new(),
                    load: Load::default(),
                };
                let announcer = bookworm_registry::Announcer::new(Arc::new(registry.clone()), instance, Load::default);
                let stop = stop.clone();
                tokio::spawn(async move { announcer.run(stop).await });
            }
            let (directory, follower) = Directory::following(Arc::new(registry.clone()));
            let stopped = stop.clone();
            tokio::spawn(async move { follower.run(stopped).await });
            Self { registry, directory, silent, stop }
        }

        /// Another monitor, until its token is cancelled.
        fn monitor(&self) -> CancellationToken {
            let monitor = Arc::new(monitor(Arc::new(self.registry.clone()), self));
            let stop = self.stop.child_token();
            tokio::spawn(each_round(monitor).run(stop.clone()));
            stop
        }

        async fn wait_until(&self, within: Duration, met: impl FnMut(&View) -> bool) {
            let waited = tokio::time::timeout(within, self.directory.wait_until(met)).await;
            assert!(waited.is_ok(), "{:?}", self.directory.view());
        }
    }

    /// A monitor in the process `m`.
    fn monitor(registry: Arc<dyn Registry>, fleet: &Fleet) -> Monitor {
        Monitor {
            registry,
            directory: fleet.directory.clone(),
            probe: Box::new(fleet.silent.clone()),
            others: Box::new(bookworm_fleet::Peers::new(fleet.directory.clone(), [], None, None)),
            clock: clock(),
            process: "m".to_owned(),
            own: OnceLock::new(),
            watch: Mutex::new(crate::watch::Watch::new(1 << 20).unwrap()),
            shown: tokio::sync::watch::Sender::new(None),
            stopping: CancellationToken::new(),
        }
    }

    fn out(view: &View) -> Vec<String> {
        let out = view.members.iter().filter(|member| member.verdict.is_some());
        out.map(|member| member.instance.key.to_string()).collect()
    }

    const ALL: [(&str, &str); 4] = [("catalog", "a"), ("catalog", "b"), ("basket", "c"), ("monitor", "m")];

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_is_out_until_it_answers_again() {
        let fleet = Fleet::start(&ALL);
        fleet.wait_until(Duration::from_secs(1), |view| view.members.len() == ALL.len()).await;
        let _monitor = fleet.monitor();
        fleet.silent.set(&["a"]);
        fleet.wait_until(Duration::from_secs(10), |view| out(view) == ["catalog.a"]).await;
        // For longer than a verdict lives.
        let acquitted = fleet.directory.wait_until(|view| out(view).is_empty());
        assert!(tokio::time::timeout(LIFETIME * 3, acquitted).await.is_err(), "it is renewed");
        fleet.silent.set(&[]);
        fleet.wait_until(Duration::from_secs(6), |view| out(view).is_empty()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_lapses_without_its_monitor_and_stays_with_the_next() {
        let fleet = Fleet::start(&ALL);
        fleet.wait_until(Duration::from_secs(1), |view| view.members.len() == ALL.len()).await;
        let first = fleet.monitor();
        fleet.silent.set(&["a"]);
        fleet.wait_until(Duration::from_secs(10), |view| out(view) == ["catalog.a"]).await;
        first.cancel();
        let second = fleet.monitor();
        let acquitted = fleet.directory.wait_until(|view| out(view).is_empty());
        assert!(tokio::time::timeout(LIFETIME * 3, acquitted).await.is_err(), "the next renews it");
        second.cancel();
        fleet.wait_until(LIFETIME + Duration::from_secs(1), |view| out(view).is_empty()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_that_is_cut_off_judges_nobody_and_its_own_process_never() {
        let fleet = Fleet::start(&ALL);
        fleet.wait_until(Duration::from_secs(1), |view| view.members.len() == ALL.len()).await;
        let _monitor = fleet.monitor();
        for silent in [&["a", "b", "c", "m"][..], &["m"]] {
            fleet.silent.set(silent);
            let judged = fleet.directory.wait_until(|view| !out(view).is_empty());
            assert!(tokio::time::timeout(LIFETIME * 2, judged).await.is_err(), "{silent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_hangs_does_not_stop_the_rounds() {
        struct Hanging(MemoryRegistry);
        #[async_trait::async_trait]
        impl Registry for Hanging {
            async fn announce(&self, instance: &Instance) -> Result<(), bookworm_registry::RegistryError> {
                self.0.announce(instance).await
            }
            async fn withdraw(&self, key: &Key) -> Result<(), bookworm_registry::RegistryError> {
                self.0.withdraw(key).await
            }
            async fn judge(&self, _: &bookworm_registry::Verdict) -> Result<(), bookworm_registry::RegistryError> {
                std::future::pending().await
            }
            async fn acquit(&self, key: &Key) -> Result<(), bookworm_registry::RegistryError> {
                self.0.acquit(key).await
            }
            async fn list(&self) -> Result<bookworm_registry::Listing, bookworm_registry::RegistryError> {
                self.0.list().await
            }
            async fn watch(&self) -> Result<bookworm_registry::Changes, bookworm_registry::RegistryError> {
                self.0.watch().await
            }
        }
        let fleet = Fleet::start(&ALL);
        fleet.wait_until(Duration::from_secs(1), |view| view.members.len() == ALL.len()).await;
        fleet.silent.set(&["a"]);
        let monitor = monitor(Arc::new(Hanging(fleet.registry.clone())), &fleet);
        let (mut judgment, mut shown) = (Judgment::default(), Shown::default());
        for _ in 0..5 {
            let round = monitor.round(&mut judgment, &mut shown);
            assert!(tokio::time::timeout(ROUND_EACH + Duration::from_millis(10), round).await.is_ok());
        }
        assert_eq!(shown.out.len(), 1, "it goes on asking and judging");
    }
}
