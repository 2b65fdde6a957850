//! The tests of `deploy/prometheus/rules_test.yml`, which `promtool` runs, give the same verdicts here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{collections::BTreeMap, time::Duration};

use bookworm_series::{
    Alert, Alerts, Bound, Labels, Query, Rules, Store,
    yaml::{self, Node},
};

const RULES: &str = include_str!("../../../../deploy/prometheus/rules.yml");
const TESTS: &str = include_str!("../../../../deploy/prometheus/rules_test.yml");
const MINUTE: i64 = 60_000;

fn minutes(text: &str) -> i64 {
    match text.strip_suffix('h') {
        Some(hours) => hours.parse::<i64>().unwrap() * 60,
        None => text.strip_suffix('m').unwrap().parse().unwrap(),
    }
}

/// `up{job="a"}`
fn series(text: &str) -> (String, Labels) {
    let (name, labels) = text.split_once('{').unwrap_or((text, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    (name.to_owned(), labels.map(pair).collect())
}

/// `1 _x3 0+5x4`: a value for each minute; `AxN` is N more of the same, `A+BxN` N more steps of B.
fn values(text: &str) -> Vec<Option<f64>> {
    let mut all = Vec::new();
    for part in text.split_whitespace() {
        let (step, times) = match part.split_once('x') {
            Some((step, times)) => (step, times.parse::<usize>().unwrap()),
            None => (part, 0),
        };
        if step == "_" {
            // `_xN` is N of them.
            all.extend(std::iter::repeat_n(None, times.max(1)));
            continue;
        }
        let (start, step) = match step.split_once('+') {
            Some((start, step)) => (start.parse::<f64>().unwrap(), step.parse::<f64>().unwrap()),
            None => (step.parse().unwrap(), 0.0),
        };
        all.extend((0..=times).map(|at| Some(start + step * at as f64)));
    }
    all
}

/// The alerts of each minute.
fn run(test: &Node) -> Vec<Vec<Alert>> {
    let rules = Rules::parse(RULES).unwrap();
    let bound = Bound { bytes: 16 << 20, age: Duration::from_secs(7200) };
    let mut store = Store::new(bound, rules.queries(), Vec::new());
    let mut alerts = Alerts::new(rules);
    let input: Vec<_> = test
        .list("input_series")
        .iter()
        .map(|input| (series(input.text("series").unwrap()), values(input.text("values").unwrap())))
        .collect();
    let last = test.list("alert_rule_test").iter().map(|case| minutes(case.text("eval_time").unwrap())).max().unwrap();
    let mut all = Vec::new();
    for minute in 0..=last {
        for ((name, labels), values) in &input {
            if let Some(Some(value)) = values.get(usize::try_from(minute).unwrap()) {
                store.push(name, labels.clone(), *value, minute * MINUTE);
            }
        }
        all.push(alerts.evaluate(&mut store, minute * MINUTE));
    }
    all
}

#[test]
fn the_tests_of_promtool_give_the_same_verdicts() {
    let file = yaml::read(TESTS).unwrap();
    let (mut cases, mut fired) = (0, 0);
    for test in file.list("tests") {
        let name = test.text("name").unwrap();
        assert_eq!(test.text("interval"), Some("1m"), "{name}");
        let alerts = run(test);
        for case in test.list("alert_rule_test") {
            let minute = usize::try_from(minutes(case.text("eval_time").unwrap())).unwrap();
            let rule = case.text("alertname").unwrap();
            let of_rule = alerts[minute].iter().filter(|alert| alert.rule == rule && alert.fires);
            let found: Vec<_> = of_rule
                .map(|alert| {
                    let labels: BTreeMap<String, String> =
                        alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    let annotations: BTreeMap<String, String> = alert.annotations.iter().cloned().collect();
                    (labels, annotations)
                })
                .collect();
            let map = |node: &Node, key| -> BTreeMap<String, String> {
                node.pairs(key).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            };
            let expected = case.list("exp_alerts").iter();
            let expected: Vec<_> =
                expected.map(|alert| (map(alert, "exp_labels"), map(alert, "exp_annotations"))).collect();
            assert_eq!(found, expected, "{name}: {rule} after {minute} minutes");
            cases += 1;
            fired += found.len();
        }
    }
    let rules = Rules::parse(RULES).unwrap().alerts.len();
    assert_eq!((cases, fired), (2 * rules, rules), "each rule is quiet for a well shop, and fires for a sick one");
}

#[test]
fn an_alert_waits_for_its_time_and_is_over_with_what_raised_it() {
    let text =
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: 'max by (x) (a) > 1'\n        for: 2m\n";
    let rules = Rules::parse(text).unwrap();
    let mut store = Store::new(Bound { bytes: 1 << 20, age: Duration::from_secs(60) }, rules.queries(), Vec::new());
    let mut alerts = Alerts::new(rules);
    let states: Vec<_> = [2.0, 3.0, 2.0, 1.0, 2.0]
        .into_iter()
        .zip(0..)
        .map(|(value, minute)| {
            store.push("a", [("x", "1")].into_iter().collect(), value, minute * MINUTE);
            let now = alerts.evaluate(&mut store, minute * MINUTE);
            now.first().map(|alert| (alert.fires, alert.since / MINUTE))
        })
        .collect();
    assert_eq!(states, [Some((false, 0)), Some((false, 0)), Some((true, 0)), None, Some((false, 4))]);
}

#[test]
fn what_only_prometheus_understands_is_refused() {
    for query in [
        "a and on (x) b",
        "a > bool 1",
        "sum without (x) (a)",
        "a[5m]",
        "rate(a)",
        "avg_over_time(a[5m])",
        "topk(3, a)",
        "a{x=~\"(\"}",
        "a +",
        "(a",
        "a b",
        "\"text\"",
        "a @ 3",
    ] {
        assert!(Query::parse(query).is_err(), "{query}");
    }
    for (rules, words) in [
        ("groups:\n- rules:\n  - alert: A\n    expr: 'topk(3, a)'", "the rule A cannot be evaluated"),
        ("groups:\n- rules:\n  - alert: A", "the rule A has no `expr`"),
        ("groups:\n- rules:\n  - expr: a", "the rule  has no `alert`"),
        ("groups:\n- rules:\n  - alert: A\n    expr: a\n    for: soon", "the rule A has no `for`"),
        ("groups: [1]", "the rules cannot be read"),
    ] {
        let error = Rules::parse(rules).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
}
