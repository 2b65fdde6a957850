use std::collections::BTreeMap;

use super::{Aggregate, Binary, Expr, Over, millis};
use crate::{labels::Labels, store::Store};

/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A value for each series, by their labels.
    Vector(BTreeMap<Labels, f64>),
}

impl Value {
    /// The values alone: of a vector in the order of its labels.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        match self {
            Self::Scalar(value) => vec![*value],
            Self::Vector(of) => of.values().copied().collect(),
        }
        .into_iter()
    }

    /// Each series with its value; a number is one without labels.
    #[must_use]
    pub fn into_vector(self) -> BTreeMap<Labels, f64> {
        match self {
            Self::Scalar(value) => BTreeMap::from([(Labels::default(), value)]),
            Self::Vector(of) => of,
        }
    }
}

pub(super) fn eval(expr: &Expr, store: &Store, now: i64) -> Value {
    match expr {
        Expr::Number(number) => Value::Scalar(*number),
        Expr::Select { selector, offset } => {
            let at = now - millis(*offset);
            let found = store.select(selector).filter_map(|(labels, series)| Some((labels.clone(), series.at(at)?)));
            Value::Vector(found.collect())
        }
        Expr::Over { what, selector, range, offset } => {
            let (to, range) = (now - millis(*offset), millis(*range));
            let of = |points: Vec<(i64, f64)>| match what {
                Over::Changes => changes(&points),
                Over::Increase => increase(&points, to - range, to),
                Over::Rate => increase(&points, to - range, to).map(|increase| increase / (range as f64 / 1000.0)),
            };
            let found = store.select(selector).filter_map(|(labels, series)| {
                let points = series.between(to - range, to).filter_map(|(at, value)| Some((at, value?)));
                Some((labels.clone(), of(points.collect())?))
            });
            Value::Vector(found.collect())
        }
        Expr::Quantile(quantile, of) => {
            let quantile = eval(quantile, store, now).values().next().unwrap_or(f64::NAN);
            Value::Vector(quantiles(quantile, eval(of, store, now).into_vector()))
        }
        Expr::AtLeast(of, least) => map(eval(of, store, now), |value| value.max(*least)),
        Expr::Negative(of) => map(eval(of, store, now), |value| -value),
        Expr::Aggregate { how, by, of } => Value::Vector(aggregate(*how, by, eval(of, store, now).into_vector())),
        Expr::Binary { what, left, right } => binary(*what, eval(left, store, now), eval(right, store, now)),
    }
}

fn map(value: Value, change: impl Fn(f64) -> f64) -> Value {
    match value {
        Value::Scalar(value) => Value::Scalar(change(value)),
        Value::Vector(of) => Value::Vector(of.into_iter().map(|(labels, value)| (labels, change(value))).collect()),
    }
}

fn changes(points: &[(i64, f64)]) -> Option<f64> {
    let differ = |pair: &&[(i64, f64)]| pair[0].1 != pair[1].1 && !(pair[0].1.is_nan() && pair[1].1.is_nan());
    (!points.is_empty()).then(|| points.windows(2).filter(differ).count() as f64)
}

/// How much a counter grew between two times, extended to the ends of the range as Prometheus does: by half a distance where
/// the series begins or ends within it, and not below zero.
fn increase(points: &[(i64, f64)], from: i64, to: i64) -> Option<f64> {
    let ([first, ..], [.., last]) = (points, points) else { return None };
    if points.len() < 2 {
        return None;
    }
    // A counter that fell began anew.
    let resets: f64 = points.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
    let grown = last.1 - first.1 + resets;
    let seconds = |millis: i64| millis as f64 / 1000.0;
    let sampled = seconds(last.0 - first.0);
    let distance = sampled / (points.len() - 1) as f64;
    let within = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
    let mut before = within(seconds(first.0 - from));
    if grown > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * (first.1 / grown));
    }
    Some(grown * ((sampled + before + within(seconds(to - last.0))) / sampled))
}

fn aggregate(how: Aggregate, by: &[String], of: BTreeMap<Labels, f64>) -> BTreeMap<Labels, f64> {
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for (labels, value) in of {
        groups.entry(labels.only(|name| by.iter().any(|label| label == name))).or_default().push(value);
    }
    let one = |values: &[f64]| match how {
        Aggregate::Sum => values.iter().sum(),
        Aggregate::Min => values.iter().copied().fold(f64::NAN, f64::min),
        Aggregate::Max => values.iter().copied().fold(f64::NAN, f64::max),
        Aggregate::Avg => values.iter().sum::<f64>() / values.len() as f64,
        Aggregate::Count => values.len() as f64,
    };
    groups.into_iter().map(|(labels, values)| (labels, one(&values))).collect()
}

/// For each set of buckets (`le` and what else they are labelled with) the value below which that share of it is.
fn quantiles(quantile: f64, buckets: BTreeMap<Labels, f64>) -> BTreeMap<Labels, f64> {
    let mut groups: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (labels, count) in buckets {
        let Some(bound) = crate::exposition::number(labels.get("le")) else { continue };
        groups.entry(labels.only(|name| name != "le")).or_default().push((bound, count));
    }
    groups.into_iter().map(|(labels, buckets)| (labels, one_quantile(quantile, buckets))).collect()
}

fn one_quantile(quantile: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    // Scraped while they were counted: a bucket has no less than the one before it.
    for at in 1..buckets.len() {
        buckets[at].1 = buckets[at].1.max(buckets[at - 1].1);
    }
    let all = buckets.last().copied().filter(|(bound, count)| bound.is_infinite() && *count > 0.0);
    let (Some((_, all)), false) = (all, buckets.len() < 2) else { return f64::NAN };
    match quantile {
        quantile if quantile.is_nan() => return f64::NAN,
        quantile if quantile < 0.0 => return f64::NEG_INFINITY,
        quantile if quantile > 1.0 => return f64::INFINITY,
        _ => {}
    }
    let rank = quantile * all;
    let last = buckets.len() - 1;
    let at = buckets[..last].partition_point(|(_, count)| *count < rank);
    if at == last {
        return buckets[last - 1].0;
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let (begin, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    begin + (end - begin) * ((rank - below) / (count - below))
}

fn binary(what: Binary, left: Value, right: Value) -> Value {
    let (left, right) = match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            let truth = |is: bool| f64::from(u8::from(is));
            return Value::Scalar(calculate(what, left, right).unwrap_or_else(truth));
        }
        // A comparison keeps the vector's values, whichever side it is on.
        (Value::Scalar(left), Value::Vector(right)) => {
            let one = |value: f64| match calculate(what, left, value) {
                Ok(result) => Some(result),
                Err(is) => is.then_some(value),
            };
            return Value::Vector(
                right.into_iter().filter_map(|(labels, value)| Some((labels, one(value)?))).collect(),
            );
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            let one = |value: f64| match calculate(what, value, right) {
                Ok(result) => Some(result),
                Err(is) => is.then_some(value),
            };
            return Value::Vector(left.into_iter().filter_map(|(labels, value)| Some((labels, one(value)?))).collect());
        }
        (Value::Vector(left), Value::Vector(right)) => (left, right),
    };
    Value::Vector(match what {
        Binary::And => left.into_iter().filter(|(labels, _)| right.contains_key(labels)).collect(),
        Binary::Unless => left.into_iter().filter(|(labels, _)| !right.contains_key(labels)).collect(),
        Binary::Or => right.into_iter().chain(left).collect(),
        _ => left
            .into_iter()
            .filter_map(|(labels, value)| {
                let result = match calculate(what, value, *right.get(&labels)?) {
                    Ok(result) => result,
                    Err(is) => is.then_some(value)?,
                };
                Some((labels, result))
            })
            .collect(),
    })
}

/// The result of arithmetic; of a comparison (an error, here) whether it holds.
fn calculate(what: Binary, left: f64, right: f64) -> Result<f64, bool> {
    match what {
        Binary::Add => Ok(left + right),
        Binary::Sub => Ok(left - right),
        Binary::Mul => Ok(left * right),
        Binary::Div => Ok(left / right),
        Binary::Eq => Err(left == right),
        Binary::Ne => Err(left != right),
        Binary::Lt => Err(left < right),
        Binary::Le => Err(left <= right),
        Binary::Gt => Err(left > right),
        Binary::Ge => Err(left >= right),
        // Of vectors alone.
        Binary::And | Binary::Or | Binary::Unless => Ok(f64::NAN),
    }
}
