//! The part of Prometheus' query language that rules and charts need, with its meaning there.
//!
//! Selectors with `=`, `!=`, `=~`, `!~`, a range and `offset`; `rate`, `increase`, `changes`, `histogram_quantile`, `clamp_min`;
//! `sum`, `min`, `max`, `avg` and `count`, with `by`; arithmetic and comparisons; `and`, `or` and `unless`. Vectors are matched
//! by all their labels. Ranges are open to the left, as in Prometheus 3.

mod eval;
mod parse;

use std::time::Duration;

use regex_lite::Regex;

pub use self::eval::Value;
pub(crate) use self::parse::duration;
use crate::{labels::Labels, store::Store};

/// Why a text is no query of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{query}` cannot be evaluated: {why}")]
pub struct QueryError {
    /// The whole query.
    pub query: String,
    /// What is wrong.
    pub why: String,
}

/// A query that can be evaluated.
#[derive(Debug, Clone)]
pub struct Query(Expr);

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// When it is none, or says what only Prometheus itself understands.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text).map(Self).map_err(|why| QueryError { query: text.to_owned(), why })
    }

    /// Its value at a time, in milliseconds since 1970.
    #[must_use]
    pub fn at(&self, store: &Store, now: i64) -> Value {
        eval::eval(&self.0, store, now)
    }

    /// What it reads, each with how far it looks back, in milliseconds.
    pub fn selectors(&self) -> Vec<(&Selector, i64)> {
        let mut all = Vec::new();
        collect(&self.0, &mut all);
        all
    }
}

fn collect<'a>(expr: &'a Expr, all: &mut Vec<(&'a Selector, i64)>) {
    match expr {
        Expr::Number(_) => {}
        Expr::Select { selector, offset } => all.push((selector, millis(*offset))),
        Expr::Over { selector, range, offset, .. } => all.push((selector, millis(*offset) + millis(*range))),
        Expr::Quantile(quantile, of) => {
            collect(quantile, all);
            collect(of, all);
        }
        Expr::AtLeast(of, _) | Expr::Negative(of) => collect(of, all),
        Expr::Aggregate { of, .. } => collect(of, all),
        Expr::Binary { left, right, .. } => {
            collect(left, all);
            collect(right, all);
        }
    }
}

fn millis(of: Duration) -> i64 {
    i64::try_from(of.as_millis()).unwrap_or(i64::MAX)
}

/// Which series are meant.
#[derive(Debug, Clone)]
pub struct Selector {
    /// Their name.
    pub name: String,
    matchers: Vec<Matcher>,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        let text = |matcher: &Matcher| (matcher.label.clone(), matcher.wants, matcher.value.as_str().to_owned());
        self.name == other.name && self.matchers.iter().map(text).eq(other.matchers.iter().map(text))
    }
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    /// Whether it must match, or must not.
    wants: bool,
    value: Pattern,
}

#[derive(Debug, Clone)]
enum Pattern {
    Text(String),
    Regex(Regex),
}

impl Pattern {
    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Regex(regex) => regex.as_str(),
        }
    }
}

impl Selector {
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = labels.get(&matcher.label);
            let found = match &matcher.value {
                Pattern::Text(text) => text == value,
                Pattern::Regex(regex) => regex.is_match(value),
            };
            found == matcher.wants
        })
    }
}

#[derive(Debug, Clone)]
enum Expr {
    Number(f64),
    Select {
        selector: Selector,
        offset: Duration,
    },
    Over {
        what: Over,
        selector: Selector,
        range: Duration,
        offset: Duration,
    },
    Quantile(Box<Expr>, Box<Expr>),
    /// No less than this.
    AtLeast(Box<Expr>, f64),
    Negative(Box<Expr>),
    Aggregate {
        how: Aggregate,
        by: Vec<String>,
        of: Box<Expr>,
    },
    Binary {
        what: Binary,
        left: Box<Expr>,
        right: Box<Expr>,
    },
}

/// A function of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Rate,
    Increase,
    Changes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
    Avg,
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
}
