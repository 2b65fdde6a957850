//! Every metric has its line in `docs/metrics.md`, and every question of an alert or a panel has a metric.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use bookworm_contracts::rest::{Page, operations::Mail};
use bookworm_testkit::{Database, TestShop, until};
use http::StatusCode;
use serde_json::Value;

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A line of the page.
#[derive(Debug, PartialEq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

fn documented() -> BTreeMap<String, Metric> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let metrics = rows.map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let word = |cell: &str| cell.trim_matches(['|', ' ', '`']).to_owned();
        let labels = cells[2].split(", ").map(word).filter(|label| label != "-").collect();
        (word(cells[0]), Metric { kind: cells[1].to_owned(), labels })
    });
    metrics.collect()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => sources(&entry, files),
            false if entry.extension().is_some_and(|kind| kind == "rs") && !entry.ends_with("tests.rs") => {
                files.push(entry)
            }
            false => {}
        }
    }
}

/// The name and kind of every metric that the code counts.
fn counted() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for layer in ["platform", "services", "node"] {
        sources(&crates.join(layer), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| file.components().any(|part| part.as_os_str() == "src")) {
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for kind in ["counter", "gauge", "histogram"] {
            for (at, call) in code.match_indices(&format!("{kind}!(")) {
                let argument = code[at + call.len()..].trim_start();
                let name = argument.strip_prefix('"').and_then(|rest| rest.split('"').next());
                let name =
                    name.unwrap_or_else(|| panic!("{}: a metric's name must be a word in place", file.display()));
                found.insert(name.to_owned(), kind.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_metric_has_its_line_and_every_line_its_metric() {
    let documented: BTreeMap<String, String> =
        documented().into_iter().map(|(name, metric)| (name, metric.kind)).collect();
    let counted = counted();
    assert!(counted.len() > 100, "the metrics were not found: {counted:?}");
    let missing: Vec<_> = counted.iter().filter(|(name, kind)| documented.get(*name) != Some(kind)).collect();
    assert!(missing.is_empty(), "without a line in docs/metrics.md: {missing:?}");
    let gone: Vec<_> = documented.keys().filter(|name| !counted.contains_key(*name)).collect();
    assert!(gone.is_empty(), "in docs/metrics.md, and counted nowhere: {gone:?}");
    let odd: Vec<_> = counted
        .iter()
        .filter(|(name, kind)| (*kind == "counter") != name.ends_with("_total") || name.contains("_ms"))
        .collect();
    assert!(odd.is_empty(), "not as Prometheus names things: {odd:?}");
}

/// `name{label="value",...} 1` as the name and its labels.
fn series(line: &str) -> (&str, BTreeSet<String>) {
    let (name, rest) = line.split_once(['{', ' ']).unwrap();
    let labels = rest.rsplit_once('}').map_or("", |(labels, _)| labels);
    (name, labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(label, _)| label.to_owned()).collect())
}

/// The metric that a series belongs to: a histogram's has three names.
fn base<'a>(name: &'a str, metrics: &BTreeMap<String, Metric>) -> &'a str {
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
    of_histogram.filter(|base| metrics.get(*base).is_some_and(|metric| metric.kind == "histogram")).unwrap_or(name)
}

#[tokio::test]
async fn what_a_shop_answers_is_what_the_page_says() {
    let mut shop =
        TestShop::start_with(Database::Sqlite, &[("telemetry.metrics_token", "a-token-of-the-scraper")]).await;
    let book = shop.book("The Dispossessed", 1299, 5).await;
    let order = shop.buy(&[(book.id, 2)]).await;
    until("the mail is there", async || {
        let mails = shop.get("/api/v1/admin/mail").bearer(shop.admin()).send().await.expect(StatusCode::OK);
        (!mails.read::<Page<Mail>>().items.is_empty()).then_some(())
    })
    .await;
    let metrics = documented();
    let scraped = until("the money is counted", async || {
        let text = shop.get("/metrics").bearer("a-token-of-the-scraper").send().await.expect(StatusCode::OK).text();
        let captured = "payment_minor_units_total{direction=\"captured\",currency=\"USD\"}";
        text.lines().any(|line| line.starts_with(captured)).then_some(text)
    })
    .await;
    let mut seen = BTreeSet::new();
    for line in scraped.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, mut labels) = series(line);
        let name = base(name, &metrics);
        labels.remove("le");
        let metric = metrics.get(name).unwrap_or_else(|| panic!("not in docs/metrics.md: {line}"));
        assert_eq!(labels, metric.labels, "{line}");
        seen.insert(name.to_owned());
    }
    for name in [
        "http_request_duration_seconds",
        "rpc_requests_total",
        "guarded_call_duration_seconds",
        "message_wait_seconds",
        "reaction_duration_seconds",
        "outbox_oldest_seconds",
        "dead_letters",
        "sagas_open",
        "saga_oldest_seconds",
        "stock_reservations_total",
        "orders_total",
    ] {
        assert!(seen.contains(name), "{name} is not counted although order {} was placed", order.number);
    }
    let whole_second =
        "http_request_duration_seconds_bucket{method=\"POST\",route=\"/api/v1/orders/checkout\",le=\"1\"} ";
    assert!(scraped.contains(whole_second), "the alerts ask for this bucket");
    shop.stop().await;
}

/// What an expression asks for: metrics with the labels that it names of each, and labels that it groups by.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    metrics: Vec<(String, BTreeSet<String>)>,
    grouped: BTreeSet<String>,
}

/// Reads as much of PromQL as rules and panels use.
fn asked(expression: &str) -> Asked {
    let mut text = String::new();
    for (place, part) in expression.split('"').enumerate() {
        // What is in quotation marks are values.
        text.push_str(if place % 2 == 0 { part } else { "" });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = |list: &str| list.split(|c: char| !is_name(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let (mut asked, mut rest) = (Asked::default(), &*text);
    while let Some(at) = rest.find(is_name) {
        rest = &rest[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let next = after.trim_start();
        rest = after;
        match word {
            "by" | "on" | "without" | "ignoring" => {
                let (list, left) = next.trim_start_matches('(').split_once(')').unwrap();
                asked.grouped.extend::<BTreeSet<String>>(words(list));
                rest = left;
            }
            "and" | "or" | "unless" | "offset" => {}
            _ if next.starts_with('(') || word.starts_with(|c: char| c.is_ascii_digit()) => {}
            // `sum by (x) (...)` is a function too.
            _ if next.starts_with("by ") => {}
            _ => {
                let (labels, left) = match after.strip_prefix('{') {
                    Some(list) => list.split_once('}').unwrap(),
                    None => ("", after),
                };
                asked.metrics.push((word.to_owned(), words(labels)));
                // A range: `[5m]`, `[$__rate_interval]`.
                rest = match left.strip_prefix('[') {
                    Some(range) => range.split_once(']').unwrap().1,
                    None => left,
                };
            }
        }
    }
    asked
}

#[test]
fn expressions_are_read() {
    let read = asked(
        r#"topk(8, sum by (le, a) (rate(x_total{b="c",d=~"5.."}[5m])) / 1.5 * y) > 3 or max(z unless z offset 1h)"#,
    );
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    let metric = |name: &str, labels: &[&str]| (name.to_owned(), set(labels));
    let metrics = vec![metric("x_total", &["b", "d"]), metric("y", &[]), metric("z", &[]), metric("z", &[])];
    assert_eq!(read, Asked { metrics, grouped: set(&["le", "a"]) });
}

/// Why an expression asks for nothing that there is; `None` when it does. `rules` are names that rules record.
fn wrong(expression: &str, rules: &BTreeSet<String>, metrics: &BTreeMap<String, Metric>) -> Option<String> {
    let asked = asked(expression);
    // What Prometheus adds, and its own metric.
    let added: BTreeSet<String> = ["instance", "job", "le"].map(str::to_owned).into();
    let mut there = added.clone();
    for (name, labels) in &asked.metrics {
        if rules.contains(name) || name == "up" {
            continue;
        }
        let Some(metric) = metrics.get(base(name, metrics)) else { return Some(format!("no metric {name}")) };
        if metric.kind == "histogram" && base(name, metrics) == name {
            return Some(format!("{name} is a histogram: _bucket, _sum or _count"));
        }
        if let Some(label) = labels.iter().find(|label| !metric.labels.contains(*label) && !added.contains(*label)) {
            return Some(format!("{name} has no label {label}"));
        }
        there.extend(metric.labels.iter().cloned());
    }
    let unknown = asked.grouped.iter().find(|label| !there.contains(*label));
    unknown.map(|label| format!("nothing there has the label {label}"))
}

/// The values of this key in a YAML file that has each in one line.
fn values(yaml: &str, key: &str) -> Vec<String> {
    let lines =
        yaml.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key)?.strip_prefix(": "));
    lines.map(|value| value.trim_matches('\'').to_owned()).collect()
}

#[test]
fn alerts_and_panels_ask_for_metrics_that_there_are() {
    let metrics = documented();
    let rules = read("deploy/prometheus/rules.yml");
    let recorded: BTreeSet<String> = values(&rules, "record").into_iter().collect();
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/bookworm.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut expressions: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    expressions.extend(values(&rules, "expr"));
    assert!(expressions.len() > 50, "they were not found");
    let wrong: Vec<_> = expressions
        .iter()
        .filter_map(|expression| wrong(expression, &recorded, &metrics).map(|why| format!("{why}: {expression}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_alert_has_its_test_and_its_page() {
    let (rules, tests, pages) =
        (read("deploy/prometheus/rules.yml"), read("deploy/prometheus/rules_test.yml"), read("docs/alerts.md"));
    let alerts = values(&rules, "alert");
    assert!(alerts.len() > 20, "they were not found");
    for alert in &alerts {
        assert!(tests.contains(&format!("name: {alert} fires\n")), "{alert} has no test that it is raised");
        let quiet = tests.split("  - name: ").find(|test| test.starts_with("a well shop")).unwrap();
        assert!(quiet.contains(&format!("alertname: {alert}\n")), "{alert} has no test that it is not raised");
        assert!(pages.contains(&format!("\n## {alert}\n")), "{alert} has no section in docs/alerts.md");
        assert!(rules.contains(&format!("runbook: docs/alerts.md#{}\n", alert.to_lowercase())), "{alert}");
    }
    let sections: Vec<_> = pages.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts, "sections without an alert, or in another order");
}
