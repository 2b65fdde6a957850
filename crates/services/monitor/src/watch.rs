//! What a monitor knows of the shop: a pure function of what processes said, and when.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bookworm_contracts::rest::operations::{
    HealthBreaker, HealthChart, HealthCheck, HealthError, HealthLease, HealthQueue, HealthStart, ProcessHealth,
    ShopHealth,
};
use bookworm_kernel::Timestamp;
use bookworm_series::{Bound, Labels, Query, QueryError, Recording, Store, Target};

use crate::{domain::charts, vitals::Vitals};

/// How long the history is.
pub const HISTORY: Duration = Duration::from_secs(2 * 3600);
/// From one point of a chart to the next.
const STEP: Duration = Duration::from_secs(60);
/// How long a process that vanished without a word is shown, and missed by the rules.
const MISSED_FOR: Duration = Duration::from_secs(600);
/// Errors and starts of an answer.
const ERRORS: usize = 50;
const STARTS: usize = 20;
/// The job of all processes, as in Prometheus' own configuration.
const JOB: &str = "bookworm";
/// When a process started, by its labels; recorded, so that it is handed over with the history.
const STARTED: &str = "process:started";

/// What a process answered in a round, or did not.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Its name.
    pub process: String,
    /// What the registry says of its roles; empty where it is this process itself.
    pub roles: Vec<String>,
    /// Whether it said that it is about to end.
    pub leaves: bool,
    /// `None` when it did not answer.
    pub vitals: Option<Vitals>,
}

/// A process as it was seen last.
#[derive(Debug)]
struct Seen {
    roles: Vec<String>,
    state: &'static str,
    since: Timestamp,
    /// When it was in a round last.
    listed: Timestamp,
    leaves: bool,
    vitals: Option<Vitals>,
    /// What a check was last, and since when, for those that do not say it themselves.
    checks: HashMap<String, (String, Timestamp)>,
}

/// The shop as one monitor sees it.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    recordings: Vec<Recording>,
    queues: Vec<Query>,
    breakers: Query,
    leases: Query,
    processes: BTreeMap<String, Seen>,
}

const fn millis(at: Timestamp) -> i64 {
    at.micros() / 1000
}

impl Watch {
    /// Knows nothing yet. The history takes so many bytes at most.
    ///
    /// # Errors
    /// When a query of ours cannot be read, which is a fault of ours.
    pub fn new(bytes: usize) -> Result<Self, QueryError> {
        let recordings = charts::recordings()?;
        let queues = charts::QUEUES.iter().map(|(_, query, ..)| Query::parse(query));
        let queues = queues.collect::<Result<Vec<_>, _>>()?;
        let (breakers, leases) = (Query::parse(charts::BREAKERS)?, Query::parse(charts::LEASES)?);
        let own = recordings.iter().map(|recording| &recording.query).chain(&queues).chain([&breakers, &leases]);
        let store = Store::new(Bound { bytes, age: HISTORY }, own, charts::folds()?);
        Ok(Self { store, recordings, queues, breakers, leases, processes: BTreeMap::new() })
    }

    /// Its history.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Takes in a round: everybody who is there.
    pub fn hear(&mut self, round: Vec<Heard>, now: Timestamp) {
        let at = millis(now);
        for heard in round {
            let target = [("job", JOB), ("instance", heard.process.as_str())];
            let is_public = heard.vitals.iter().any(|vitals| vitals.roles.iter().any(|role| role == "gateway"));
            let folded = [("public", if is_public { "yes" } else { "" })];
            let metrics = heard.vitals.as_ref().map(|vitals| vitals.metrics.as_str());
            self.store.scrape(Target { labels: &target, folded: &folded }, metrics, at);
            if let Some(vitals) = &heard.vitals {
                let labels = [
                    ("instance", vitals.process.clone()),
                    ("roles", vitals.roles.join(", ")),
                    ("version", vitals.version.clone()),
                ];
                self.store.push(STARTED, labels.into_iter().collect(), vitals.started_at.micros() as f64, at);
            }
            self.see(heard, now);
        }
        self.miss(now);
        for Recording { name, query } in &self.recordings {
            for (labels, value) in query.at(&self.store, at).into_vector() {
                self.store.push(name, labels, value, at);
            }
        }
        self.store.tidy(at);
    }

    fn see(&mut self, heard: Heard, now: Timestamp) {
        let Heard { process, roles, leaves, vitals } = heard;
        let state = match &vitals {
            Some(vitals) if vitals.ready => "ready",
            Some(_) => "not_ready",
            None => "away",
        };
        let seen = self.processes.entry(process).or_insert_with(|| Seen {
            roles: Vec::new(),
            state,
            since: now,
            listed: now,
            leaves,
            vitals: None,
            checks: HashMap::new(),
        });
        if seen.state != state {
            (seen.state, seen.since) = (state, now);
        }
        (seen.listed, seen.leaves) = (now, leaves);
        let Some(mut vitals) = vitals else {
            if !roles.is_empty() {
                seen.roles = roles;
            }
            return;
        };
        seen.roles.clone_from(&vitals.roles);
        let mut checks = HashMap::new();
        for check in &mut vitals.checks {
            let since = match seen.checks.get(&check.name) {
                Some((before, since)) if *before == check.state => *since,
                _ => check.since,
            };
            check.since = since;
            checks.insert(check.name.clone(), (check.state.clone(), since));
        }
        (seen.checks, seen.vitals) = (checks, Some(vitals));
    }

    /// Those who were not in this round: one that said so has left, and so has one whose roles another has since; any other
    /// is missed for a while.
    fn miss(&mut self, now: Timestamp) {
        let started = |seen: &Seen| seen.vitals.as_ref().map(|vitals| vitals.started_at);
        let present: Vec<(Vec<String>, Option<Timestamp>)> = self
            .processes
            .values()
            .filter(|seen| seen.listed == now)
            .map(|seen| (seen.roles.clone(), started(seen)))
            .collect();
        let mut left = Vec::new();
        for (process, seen) in self.processes.iter_mut().filter(|(_, seen)| seen.listed != now) {
            let replaced =
                present.iter().any(|(roles, at)| *roles == seen.roles && at.is_some_and(|at| at > seen.listed));
            if seen.leaves || replaced || now.since(seen.listed) > MISSED_FOR {
                left.push(process.clone());
                continue;
            }
            if seen.state != "away" {
                (seen.state, seen.since) = ("away", now);
            }
            let target = [("job", JOB), ("instance", process.as_str())];
            self.store.scrape(Target { labels: &target, folded: &[] }, None, millis(now));
        }
        for process in left {
            self.store.leave(&[("job", JOB), ("instance", &process)], millis(now));
            self.processes.remove(&process);
        }
    }

    /// How the shop is at a time, which is that of the last round.
    pub fn report(&self, answered_by: &str, now: Timestamp) -> ShopHealth {
        let at = millis(now);
        let mut processes: Vec<ProcessHealth> =
            self.processes.iter().map(|(process, seen)| self.process(process, seen, now)).collect();
        processes.sort_by_key(|process| (process.state == "ready", process.process.clone()));
        let points = charts::CHARTS.iter().flat_map(|chart| self.store.of(&charts::recorded(chart.id)));
        let first = points.filter_map(|(_, points)| points.first().copied()).map(|(at, _)| at).min();
        ShopHealth {
            at: now,
            answered_by: answered_by.to_owned(),
            history_from: Timestamp::from_micros(first.unwrap_or(at) * 1000),
            series_left_out: self.store.left_out(),
            processes,
            charts: charts::CHARTS.iter().map(|chart| self.shop_chart(chart, now)).collect(),
            breakers: self.breakers(at),
            leases: self.leases(at),
            queues: self.queues(at),
            errors: self.errors(),
            starts: self.starts(),
        }
    }

    fn process(&self, process: &str, seen: &Seen, now: Timestamp) -> ProcessHealth {
        let latest = |name: &str| {
            let is_its = |labels: &Labels| labels.get("instance") == process;
            let (_, points) = self.store.of(name).find(|(labels, _)| is_its(labels))?;
            let (at, value) = *points.last()?;
            value.filter(|value| value.is_finite() && at == millis(now))
        };
        let mut checks: Vec<HealthCheck> = seen.vitals.iter().flat_map(|vitals| vitals.checks.clone()).collect();
        checks.sort_by_key(|check| (check.state == "ok", check.state == "note", check.name.clone()));
        let is_its = |labels: &Labels| labels.get("instance") == process;
        ProcessHealth {
            process: process.to_owned(),
            roles: seen.roles.clone(),
            version: seen.vitals.as_ref().map(|vitals| vitals.version.clone()).unwrap_or_default(),
            zone: seen.vitals.as_ref().map(|vitals| vitals.zone.clone()).unwrap_or_default(),
            started_at: seen.vitals.as_ref().map(|vitals| vitals.started_at),
            state: seen.state.to_owned(),
            since: seen.since,
            checks,
            requests_per_second: latest(charts::REQUESTS),
            failed: latest(charts::FAILED),
            latency_p95: latest(charts::LATENCY),
            requests: self.chart("requests", "per_second", charts::REQUESTS, is_its, now),
        }
    }

    fn shop_chart(&self, chart: &charts::Chart, now: Timestamp) -> HealthChart {
        self.chart(chart.id, chart.unit, &charts::recorded(chart.id), |_| true, now)
    }

    /// A recorded series at even steps: of those within a step the last counts.
    fn chart(&self, id: &str, unit: &str, name: &str, which: impl Fn(&Labels) -> bool, now: Timestamp) -> HealthChart {
        let (step, at) = (STEP.as_millis() as i64, millis(now));
        let steps = HISTORY.as_millis() as i64 / step;
        let from = at - steps * step;
        let mut points = vec![None; usize::try_from(steps + 1).unwrap_or_default()];
        for (labels, series) in self.store.of(name) {
            if !which(labels) {
                continue;
            }
            for (time, value) in series.into_iter().filter(|(time, _)| *time > from - step) {
                // The last step ends now.
                let place = usize::try_from((time - from + step - 1) / step).unwrap_or_default();
                if let Some(point) = points.get_mut(place) {
                    *point = value.filter(|value| value.is_finite());
                }
            }
        }
        HealthChart {
            id: id.to_owned(),
            unit: unit.to_owned(),
            from: Timestamp::from_micros(from * 1000),
            step_seconds: u32::try_from(STEP.as_secs()).unwrap_or_default(),
            points,
        }
    }

    fn breakers(&self, at: i64) -> Vec<HealthBreaker> {
        let found = self.breakers.at(&self.store, at).into_vector().into_iter();
        found
            .map(|(labels, state)| HealthBreaker {
                process: labels.get("instance").to_owned(),
                name: labels.get("name").to_owned(),
                state: if state >= 2.0 { "open" } else { "half_open" }.to_owned(),
            })
            .collect()
    }

    fn leases(&self, at: i64) -> Vec<HealthLease> {
        let mut leases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (labels, held) in self.leases.at(&self.store, at).into_vector() {
            let holders = leases.entry(labels.get("lease").to_owned()).or_default();
            if held > 0.0 {
                holders.push(labels.get("instance").to_owned());
            }
        }
        leases.into_iter().map(|(name, holders)| HealthLease { name, holders }).collect()
    }

    fn queues(&self, at: i64) -> Vec<HealthQueue> {
        let mut all = Vec::new();
        for ((name, _, label, unit), query) in charts::QUEUES.iter().zip(&self.queues) {
            for (labels, value) in query.at(&self.store, at).into_vector() {
                let name = format!("{name} {}", labels.get(label)).trim_end().to_owned();
                all.push(HealthQueue { name, unit: (*unit).to_owned(), value });
            }
        }
        all
    }

    fn errors(&self) -> Vec<HealthError> {
        let all = self.processes.values().filter_map(|seen| seen.vitals.as_ref());
        let mut errors: Vec<HealthError> = all.flat_map(|vitals| vitals.errors.clone()).collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.at));
        errors.truncate(ERRORS);
        errors
    }

    fn starts(&self) -> Vec<HealthStart> {
        let all = self.store.of(STARTED).filter_map(|(labels, points)| Some((labels, points.last()?.1?)));
        let mut starts: Vec<HealthStart> = all
            .map(|(labels, at)| HealthStart {
                process: labels.get("instance").to_owned(),
                roles: labels.get("roles").to_owned(),
                version: labels.get("version").to_owned(),
                at: Timestamp::from_micros(at as i64),
            })
            .collect();
        starts.sort_by_key(|start| std::cmp::Reverse(start.at));
        starts.truncate(STARTS);
        starts
    }
}

#[cfg(test)]
mod tests {
    use bookworm_testing::NOW;

    use super::*;

    fn vitals(process: &str, roles: &[&str], metrics: &str) -> Vitals {
        Vitals {
            process: process.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            version: "1.2.3".to_owned(),
            zone: String::new(),
            started_at: NOW,
            ready: true,
            checks: Vec::new(),
            errors: Vec::new(),
            metrics: metrics.to_owned(),
        }
    }

    fn heard(vitals: Vitals) -> Heard {
        Heard { process: vitals.process.clone(), roles: vitals.roles.clone(), leaves: false, vitals: Some(vitals) }
    }

    fn silent(process: &str, roles: &[&str]) -> Heard {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Heard { process: process.to_owned(), roles, leaves: false, vitals: None }
    }

    fn watch() -> Watch {
        Watch::new(8 << 20).unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn states(shop: &ShopHealth) -> Vec<(&str, &str, Timestamp)> {
        shop.processes.iter().map(|process| (&*process.process, &*process.state, process.since)).collect()
    }

    #[test]
    fn figures_are_of_gateways_and_each_process_has_its_own() {
        let mut watch = watch();
        let busy = |count: u64, failed: u64| {
            format!(
                "http_requests_total{{method=\"GET\",route=\"/api/v1/books\",status=\"200\"}} {count}\n\
                 http_requests_total{{method=\"GET\",route=\"/api/v1/books\",status=\"500\"}} {failed}\n\
                 http_requests_total{{method=\"GET\",route=\"/health/ready\",status=\"200\"}} 100000\n\
                 http_request_duration_seconds_bucket{{method=\"GET\",route=\"/api/v1/books\",le=\"0.1\"}} {count}\n\
                 http_request_duration_seconds_bucket{{method=\"GET\",route=\"/api/v1/books\",le=\"+Inf\"}} {count}\n"
            )
        };
        for round in 0..20 {
            let gateway = vitals("g", &["gateway", "web"], &busy(round * 15 * 9, round * 15));
            let catalog =
                vitals("c", &["catalog"], &(busy(round * 15 * 4, 0) + "circuit_breaker_state{name=\"x.y\"} 2\n"));
            watch.hear(vec![heard(gateway), heard(catalog)], at(round * 15));
        }
        let shop = watch.report("g", at(19 * 15));
        let chart = |id: &str| shop.charts.iter().find(|chart| chart.id == id).unwrap();
        let now = |id: &str| chart(id).points.last().unwrap().unwrap();
        assert!((now("requests") - 10.0).abs() < 0.01, "what was passed on counts once: {}", now("requests"));
        assert!((now("failed") - 0.1).abs() < 0.001 && (now("latency") - 0.095).abs() < 0.001);
        assert_eq!(chart("requests").points.len(), 121);
        assert_eq!(chart("requests").points.iter().flatten().count(), 5, "there are five minutes");
        let catalog = &shop.processes[0];
        assert_eq!(catalog.process, "c");
        assert!((catalog.requests_per_second.unwrap() - 4.0).abs() < 0.01 && catalog.failed == Some(0.0));
        let breakers: Vec<_> =
            shop.breakers.iter().map(|found| (&*found.process, &*found.name, &*found.state)).collect();
        assert_eq!(breakers, [("c", "x.y", "open")]);
        assert_eq!(shop.starts.len(), 2);
    }

    #[test]
    fn a_process_that_vanishes_is_missed_and_one_that_leaves_is_not() {
        let mut watch = watch();
        let all =
            |names: &[&str]| -> Vec<Heard> { names.iter().map(|name| heard(vitals(name, &[name], ""))).collect() };
        watch.hear(all(&["a", "b", "c", "d"]), at(0));
        let mut leaving = heard(vitals("d", &["d"], ""));
        leaving.leaves = true;
        watch.hear(all(&["a", "b"]).into_iter().chain([silent("c", &["c"]), leaving]).collect(), at(15));
        watch.hear(all(&["a"]).into_iter().chain([silent("c", &["c"])]).collect(), at(30));
        assert_eq!(
            states(&watch.report("a", at(30))),
            [("b", "away", at(30)), ("c", "away", at(15)), ("a", "ready", at(0))]
        );
        // Another takes the place of one; the other is given up some time.
        let mut instead = vitals("e", &["b"], "");
        instead.started_at = at(40);
        watch.hear(all(&["a"]).into_iter().chain([heard(instead.clone())]).collect(), at(45));
        assert_eq!(watch.report("a", at(45)).processes.len(), 3);
        watch.hear(all(&["a"]).into_iter().chain([heard(instead)]).collect(), at(700));
        assert_eq!(states(&watch.report("a", at(700))).len(), 2);
    }

    #[test]
    fn a_check_says_since_when_it_is_as_it_is() {
        let mut watch = watch();
        let check = |state: &str, why: &str, now| HealthCheck {
            name: "redis".to_owned(),
            state: state.to_owned(),
            since: now,
            why: why.to_owned(),
        };
        for (seconds, state, why) in [(0, "ok", ""), (15, "note", "away"), (30, "note", "still away")] {
            let mut now = vitals("a", &["web"], "");
            now.checks = vec![check(state, why, at(seconds))];
            watch.hear(vec![heard(now)], at(seconds));
        }
        assert_eq!(watch.report("a", at(30)).processes[0].checks, [check("note", "still away", at(15))]);
    }

    #[test]
    fn errors_of_all_processes_are_one_list_within_a_bound() {
        let mut watch = watch();
        let error = |process: &str, second| HealthError {
            process: process.to_owned(),
            at: at(second),
            target: "t".to_owned(),
            message: "m".to_owned(),
            count: 1,
            trace_id: None,
        };
        let round = ["a", "b"].map(|process| {
            let mut now = vitals(process, &["web"], "");
            now.errors = (0..40).map(|second| error(process, second)).collect();
            heard(now)
        });
        watch.hear(round.into(), at(60));
        let errors = watch.report("a", at(60)).errors;
        assert_eq!((errors.len(), errors[0].at, errors[49].at), (50, at(39), at(15)));
    }
}
