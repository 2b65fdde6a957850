//! What happened a moment ago: recent traces, one trace as a waterfall, and as a sequence diagram.

mod sequence;

use askama::Template;
use axum::extract::{Path, State};
use bookworm_contracts::rest::operations::{Trace, TraceArrow, TraceStep, TraceSummary};

use super::Staff;
use crate::{
    error::PageResult,
    form::Query,
    layout::{Shell, never_stored, page},
    service::Web,
    shelf::MOMENT,
};

pub(crate) const ONLY: &[(&str, &str)] = &[("", "All"), ("failed", "With a failure"), ("slow", "Slow")];

#[derive(Template)]
#[template(path = "admin/traces.html")]
struct TracesPage {
    shell: Shell,
    only: String,
    name: String,
    subject: String,
    kept: bool,
    unreachable: String,
    rows: Vec<Row>,
}

struct Row {
    trace: TraceSummary,
    took: String,
}

#[derive(Template)]
#[template(path = "admin/trace.html")]
struct TracePage {
    shell: Shell,
    id: String,
    title: String,
    /// HTML.
    started: String,
    took: String,
    unreachable: String,
    /// The order that it is about.
    order: Option<String>,
    /// SVG.
    diagram: String,
    mermaid: String,
    arrows: Vec<Shown>,
    expected: Option<Expected>,
    steps: Vec<Step>,
}

/// An arrow in the table beside the diagram.
struct Shown {
    arrow: TraceArrow,
    at: String,
    took: String,
    remark: String,
}

/// The scenario beside what happened.
struct Expected {
    name: String,
    mermaid: String,
    summary: String,
    lines: Vec<Line>,
    /// Whether the lines are shown at once: something is missing.
    is_open: bool,
    extra: Vec<TraceArrow>,
}

struct Line {
    from: String,
    to: String,
    label: String,
    badge: &'static str,
    state: &'static str,
}

/// A row of the waterfall.
struct Step {
    step: TraceStep,
    at: String,
    took: String,
    /// Where its bar is, in thousandths of the whole.
    from: u64,
    width: u64,
    /// How far its name is indented: 0 to 8.
    indent: u32,
    attributes: Vec<(String, String)>,
}

/// `1.2 ms`, `3.4 s`
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{:.0} min", micros as f64 / 60e6),
    }
}

/// `GET /admin/traces?only=&name=&subject=`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let (only, name, subject) = (query.get("only"), query.get("name"), query.get("subject"));
    let found = web.api.traces(staff.caller(), &[("only", only), ("name", name), ("subject", subject)]).await?;
    let row = |trace: TraceSummary| Row { took: duration(trace.duration_us), trace };
    page(&TracesPage {
        shell: staff.office("Traces"),
        only: only.to_owned(),
        name: name.to_owned(),
        subject: subject.to_owned(),
        kept: found.kept,
        unreachable: found.unreachable.join(", "),
        rows: found.items.into_iter().map(row).collect(),
    })
    .map(never_stored)
}

/// `GET /admin/traces/{id}`: a trace, or what is about an order or a conversation.
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(id): Path<String>) -> PageResult {
    let Trace { id, started_at, steps, diagram, expected, unreachable } = web.api.trace(staff.caller(), &id).await?;
    let end = steps.iter().map(|step| step.offset_us + step.duration_us).max().unwrap_or(0);
    let title = match &expected {
        Some(expected) => expected.name.clone(),
        None => steps.first().map(|step| step.name.clone()).unwrap_or_default(),
    };
    let about = steps.iter().find_map(|step| step.attributes.get("bookworm.subject.id")?.as_str().map(str::to_owned));
    let is_order = steps.iter().any(|step| step.attributes.contains_key("bookworm.saga.kind"));
    let extra: Vec<TraceArrow> = diagram.arrows.iter().filter(|arrow| arrow.extra).cloned().collect();
    let expected = expected.map(|expected| {
        let missing = expected.arrows.iter().filter(|arrow| !arrow.seen && !arrow.optional).count();
        let lines = expected.arrows.into_iter().map(|arrow| {
            let (badge, state) = match (arrow.seen, arrow.optional) {
                (true, _) => ("sent", "Happened"),
                (false, true) => ("off", "Not here"),
                (false, false) => ("failed", "Missing"),
            };
            Line { from: arrow.from, to: arrow.to, label: arrow.label, badge, state }
        });
        let summary = match (missing, extra.len()) {
            (0, 0) => "Everything happened as it is written down.".to_owned(),
            (missing, extra) => format!("{missing} missing, {extra} more than is written down."),
        };
        let is_open = missing > 0;
        Expected { name: expected.name, mermaid: expected.mermaid, summary, lines: lines.collect(), is_open, extra }
    });
    let drawing = sequence::draw(&diagram);
    page(&TracePage {
        shell: staff.office(format!("Trace: {title}")),
        title,
        id,
        started: staff.calendar().time(&started_at),
        took: duration(end),
        unreachable: unreachable.join(", "),
        order: about.filter(|_| is_order),
        diagram: drawing,
        mermaid: diagram.mermaid,
        arrows: diagram.arrows.into_iter().map(shown).collect(),
        expected,
        steps: steps.into_iter().map(|step| row(step, end)).collect(),
    })
    .map(never_stored)
}

fn shown(arrow: TraceArrow) -> Shown {
    let mut remarks = Vec::new();
    if arrow.failed {
        remarks.push("failed".to_owned());
    }
    remarks.extend(arrow.attempt.map(|attempt| format!("attempt {attempt}")));
    if arrow.compensation {
        remarks.push("compensation".to_owned());
    }
    if arrow.extra {
        remarks.push("not in the scenario".to_owned());
    }
    Shown {
        at: duration(arrow.offset_us),
        took: arrow.duration_us.map(duration).unwrap_or_default(),
        remark: remarks.join(", "),
        arrow,
    }
}

fn row(step: TraceStep, end: u64) -> Step {
    let of_whole = |micros: u64| micros.saturating_mul(1000) / end.max(1);
    let attribute = |(name, value): (&String, &serde_json::Value)| {
        (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    Step {
        at: duration(step.offset_us),
        took: duration(step.duration_us),
        from: of_whole(step.offset_us).min(996),
        width: of_whole(step.duration_us).max(4),
        indent: step.depth.min(8),
        attributes: step.attributes.iter().map(attribute).collect(),
        step,
    }
}

/// Whether something is still known of what happened to an order.
pub(super) async fn of_order(web: &Web, staff: &Staff, order: &str) -> bool {
    // The order's page does without, and does not wait for a process that is slow to answer.
    let about = [("subject", order)];
    let found = web.api.traces(staff.caller(), &about);
    tokio::time::timeout(MOMENT, found).await.is_ok_and(|found| found.is_ok_and(|found| !found.items.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        for (micros, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.2 ms"),
            (999_900, "999.9 ms"),
            (1_500_000, "1.50 s"),
            (600_000_000, "10 min"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }
}
