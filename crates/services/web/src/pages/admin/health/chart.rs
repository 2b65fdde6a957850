//! A figure as time went on: a small drawing, and the same in words and as a table.

use std::fmt::Write as _;

use bookworm_contracts::rest::operations::HealthChart;
use bookworm_kernel::Timestamp;

use crate::view::{self, Calendar};

/// The drawing's size in its own units, and the room above the highest point.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;
const MARGIN: f64 = 3.0;
/// Minutes from one row of the table to the next.
const ROWS_EACH: u64 = 10;

/// What is shown of a chart.
pub(super) struct ChartView {
    /// Part of the ids of its elements.
    pub id: String,
    pub title: String,
    /// The present value.
    pub now: String,
    /// The highest one, and when, as HTML; `None` where nothing is known.
    pub highest: Option<(String, String)>,
    /// What is drawn, for whoever does not see it.
    pub words: String,
    /// The lines of the drawing: one for each stretch without a gap, as `x,y x,y`.
    pub lines: Vec<String>,
    /// When, as HTML, and the value then.
    pub rows: Vec<(String, String)>,
}

/// What each chart is called; one of a later release by its own name.
fn title(id: &str) -> &str {
    match id {
        "requests" => "Requests",
        "failed" => "Failed requests",
        "latency" => "95 of 100 requests take at most",
        "orders" => "Orders placed",
        "outbox" => "Oldest message not on the bus yet",
        "backlog" => "Messages on the bus",
        "message_wait" => "90% of messages wait at most",
        "checkouts" => "Sagas under way",
        "chat_waiting" => "Conversations that wait for an agent",
        "model" => "95 of 100 batches of the model take at most",
        other => other,
    }
}

/// A value with its unit.
pub(super) fn shown(unit: &str, value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    match unit {
        "share" => format!("{}%", figure(value * 100.0)),
        "seconds" if value == 0.0 => "0 s".to_owned(),
        "seconds" if value < 1.0 => format!("{} ms", figure(value * 1000.0)),
        "seconds" if value < 120.0 => format!("{} s", figure(value)),
        "seconds" => format!("{} min", figure(value / 60.0)),
        "per_second" => format!("{}/s", figure(value)),
        "per_minute" => format!("{}/min", figure(value)),
        _ => figure(value),
    }
}

/// Two digits that count, and all of a large number.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 10.0 => 0,
        size if size >= 1.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    if digits == 0 {
        return view::number(&(value.round() as i64));
    }
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl ChartView {
    /// `of` is the process that it is about; empty for the whole shop.
    pub(super) fn new(chart: HealthChart, of: &str, calendar: &Calendar) -> Self {
        let HealthChart { id, unit, from, step_seconds, points } = chart;
        let step = u64::from(step_seconds.max(1));
        let at = |place: usize| -> Timestamp { from.plus(std::time::Duration::from_secs(step * place as u64)) };
        let known = || points.iter().enumerate().filter_map(|(place, point)| Some((place, (*point)?)));
        let highest = known().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let last = points.iter().rev().take(2).find_map(|point| *point);
        let now = last.map_or_else(|| "No data".to_owned(), |value| shown(&unit, value));
        let name = if of.is_empty() { title(&id).to_owned() } else { format!("{} of {of}", title(&id)) };
        let words = match highest {
            Some((place, value)) => format!(
                "{name} in the last two hours: now {now}, at most {} at {}.",
                shown(&unit, value),
                calendar.zone.relative(at(place), calendar.now)
            ),
            None => format!("{name}: no data in the last two hours."),
        };
        let every = usize::try_from((ROWS_EACH * 60 / step).max(1)).unwrap_or(1);
        let rows = points.iter().enumerate().rev().step_by(every).map(|(place, point)| {
            (calendar.time(&at(place)), point.map_or_else(|| "-".to_owned(), |value| shown(&unit, value)))
        });
        Self {
            id: if of.is_empty() { id } else { format!("{id}-{}", word(of)) },
            title: name,
            lines: lines(&points, highest.map_or(0.0, |(_, value)| value)),
            highest: highest.map(|(place, value)| (shown(&unit, value), calendar.time(&at(place)))),
            rows: rows.collect(),
            now,
            words,
        }
    }
}

/// Letters and digits alone: part of an id.
fn word(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// From 0 at the bottom to the highest at the top.
fn lines(points: &[Option<f64>], highest: f64) -> Vec<String> {
    let across = WIDTH / (points.len().saturating_sub(1)).max(1) as f64;
    let up = |value: f64| match highest > 0.0 {
        true => (HEIGHT - MARGIN) - (value.max(0.0) / highest) * (HEIGHT - 2.0 * MARGIN),
        false => HEIGHT - MARGIN,
    };
    let (mut all, mut line) = (Vec::new(), String::new());
    for (place, point) in points.iter().enumerate() {
        match point {
            Some(value) => {
                let (x, y) = (across * place as f64, up(*value));
                // A point by itself is a line that goes nowhere: round ends make a dot of it.
                let begins = line.is_empty();
                let _ = write!(line, "{}{x:.1},{y:.1}", if begins { "" } else { " " });
                if begins {
                    let _ = write!(line, " {x:.1},{y:.1}");
                }
            }
            None if !line.is_empty() => all.push(std::mem::take(&mut line)),
            None => {}
        }
    }
    if !line.is_empty() {
        all.push(line);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_two_digits_that_count_and_their_unit() {
        for (unit, value, text) in [
            ("per_second", 0.0, "0/s"),
            ("per_second", 0.0333, "0.033/s"),
            ("per_second", 3.25, "3.2/s"),
            ("per_second", 1234.5, "1,235/s"),
            ("per_minute", 2.0, "2/min"),
            ("share", 0.0123, "1.2%"),
            ("seconds", 0.0, "0 s"),
            ("seconds", 0.0123, "12 ms"),
            ("seconds", 7.0, "7 s"),
            ("seconds", 600.0, "10 min"),
            ("count", 3.0, "3"),
            ("a later unit", 3.0, "3"),
            ("count", f64::NAN, "-"),
        ] {
            assert_eq!(shown(unit, value), text);
        }
    }

    #[test]
    fn a_gap_is_a_gap_and_a_point_alone_a_dot() {
        let all = lines(&[Some(0.0), Some(2.0), None, Some(1.0), None], 2.0);
        assert_eq!(all, ["0.0,45.0 0.0,45.0 60.0,3.0", "180.0,24.0 180.0,24.0"]);
        assert_eq!(lines(&[Some(0.0)], 0.0), ["0.0,45.0 0.0,45.0"]);
        assert!(lines(&[], 0.0).is_empty() && lines(&[None], 0.0).is_empty());
    }
}
