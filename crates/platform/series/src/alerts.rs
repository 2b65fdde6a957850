use std::collections::BTreeMap;

use crate::{
    labels::Labels,
    rules::{AlertRule, Recording, Rules},
    store::Store,
    words::fill,
};

/// An alert that is pending or fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule that raised it.
    pub rule: String,
    /// Which series it is about, with the labels of its rule.
    pub labels: Labels,
    /// What its rule says of it, with the present values.
    pub annotations: Vec<(String, String)>,
    /// Since when its query has given this series, in milliseconds since 1970.
    pub since: i64,
    /// Whether it has done so for as long as its rule wants.
    pub fires: bool,
    /// What the query gives.
    pub value: f64,
}

impl Alert {
    /// An annotation; empty where there is none.
    #[must_use]
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }
}

/// The alerts of a set of rules as time goes on.
#[derive(Debug)]
pub struct Alerts {
    rules: Rules,
    /// By the number of the rule.
    active: BTreeMap<(usize, Labels), Alert>,
}

impl Alerts {
    /// Without alerts yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, active: BTreeMap::new() }
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Evaluates all rules at a time, which is later than at the last call. What is returned are all alerts then, in the
    /// order of their rules.
    pub fn evaluate(&mut self, store: &mut Store, now: i64) -> Vec<Alert> {
        for Recording { name, query } in &self.rules.recordings {
            for (labels, value) in query.at(store, now).into_vector() {
                store.push(name, labels, value, now);
            }
        }
        let mut active = BTreeMap::new();
        for (number, rule) in self.rules.alerts.iter().enumerate() {
            for (labels, value) in rule.query.at(store, now).into_vector() {
                let key = (number, of_rule(rule, &labels));
                let since = self.active.get(&key).map_or(now, |alert| alert.since);
                let alert = alert(rule, &labels, &key.1, value, since, now);
                active.insert(key, alert);
            }
        }
        self.active = active;
        self.active.values().cloned().collect()
    }
}

fn of_rule(rule: &AlertRule, labels: &Labels) -> Labels {
    labels.with(rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn alert(rule: &AlertRule, of_series: &Labels, labels: &Labels, value: f64, since: i64, now: i64) -> Alert {
    let filled = |(name, template): &(String, String)| (name.clone(), fill(template, of_series, value));
    Alert {
        rule: rule.name.clone(),
        labels: labels.clone(),
        annotations: rule.annotations.iter().map(filled).collect(),
        since,
        fires: now - since >= i64::try_from(rule.hold.as_millis()).unwrap_or(i64::MAX),
        value,
    }
}
