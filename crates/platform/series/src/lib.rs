//! Time series of metrics in memory, queries over them, and the alerts that rules raise on them.
//!
//! What Prometheus does for a shop that runs one, in small: samples in its text format ([`parse`]), a bounded [`Store`], the
//! part of its query language that rules need ([`Query`]), its files of rules ([`Rules`]), and the life of an alert
//! ([`Alerts`]). Where both have the same series they give the same verdicts; the tests of `deploy/prometheus/` run here too.
//!
//! | to change | open |
//! |---|---|
//! | how metrics are read | `exposition.rs` |
//! | what is kept of them, and for how long | `store.rs` |
//! | what a query may say, and what it means | `query/` |
//! | files of rules | `rules.rs`, `yaml.rs` |
//! | when an alert is pending, firing, over | `alerts.rs`; its words: `words.rs` |
//!
//! Times are milliseconds since 1970.

#![warn(missing_docs)]

mod alerts;
mod exposition;
mod labels;
mod query;
mod rules;
mod store;
mod words;
pub mod yaml;

pub use crate::{
    alerts::{Alert, Alerts},
    exposition::{Line, parse},
    labels::Labels,
    query::{Query, QueryError, Selector, Value},
    rules::{AlertRule, Recording, Rules, RulesError},
    store::{Bound, Fold, Point, Store, Target},
};
