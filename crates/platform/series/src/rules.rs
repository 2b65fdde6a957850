use std::time::Duration;

use crate::{
    query::{Query, QueryError},
    yaml::{self, Node, YamlError},
};

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It is not written as files of rules are.
    #[error("the rules cannot be read")]
    Yaml(#[from] YamlError),
    /// A rule cannot be evaluated.
    #[error("the rule {rule} cannot be evaluated")]
    Query {
        /// Its name.
        rule: String,
        /// Why.
        #[source]
        source: QueryError,
    },
    /// A rule lacks something.
    #[error("the rule {rule} has no `{key}`, or a wrong one")]
    Incomplete {
        /// Its name; empty where even that is missing.
        rule: String,
        /// What is missing.
        key: &'static str,
    },
}

/// A query whose result becomes a series.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name of the series.
    pub name: String,
    /// What it records.
    pub query: Query,
}

/// A rule that raises alerts: one for each series that its query gives.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name.
    pub name: String,
    /// What is looked for.
    pub query: Query,
    /// For how long it must be so.
    pub hold: Duration,
    /// Labels of its alerts beside those of the series.
    pub labels: Vec<(String, String)>,
    /// Words about its alerts; with `{{ $value }}` and `{{ $labels.name }}` in them.
    pub annotations: Vec<(String, String)>,
}

/// The rules of a file, in the order in which they are evaluated.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What is recorded, for the alerts.
    pub recordings: Vec<Recording>,
    /// What raises alerts.
    pub alerts: Vec<AlertRule>,
}

impl Rules {
    /// Reads a file of rules as Prometheus has them.
    ///
    /// # Errors
    /// When it is none, or has more in it than is understood here.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let (file, mut rules) = (yaml::read(text)?, Self::default());
        for rule in file.list("groups").iter().flat_map(|group| group.list("rules")) {
            let recorded = rule.text("record");
            let name = recorded.or_else(|| rule.text("alert")).unwrap_or_default().to_owned();
            let incomplete = |key| RulesError::Incomplete { rule: name.clone(), key };
            if name.is_empty() {
                return Err(incomplete("alert"));
            }
            let query = rule.text("expr").ok_or_else(|| incomplete("expr"))?;
            let query = Query::parse(query).map_err(|source| RulesError::Query { rule: name.clone(), source })?;
            if recorded.is_some() {
                rules.recordings.push(Recording { name, query });
                continue;
            }
            let hold = match rule.text("for") {
                Some(text) => crate::query::duration(text).ok_or_else(|| incomplete("for"))?,
                None => Duration::ZERO,
            };
            let pairs = |key| owned(rule, key);
            rules.alerts.push(AlertRule {
                query,
                hold,
                labels: pairs("labels"),
                annotations: pairs("annotations"),
                name,
            });
        }
        Ok(rules)
    }

    /// Every query.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.recordings.iter().map(|rule| &rule.query).chain(self.alerts.iter().map(|rule| &rule.query))
    }
}

fn owned(rule: &Node, key: &str) -> Vec<(String, String)> {
    rule.pairs(key).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
