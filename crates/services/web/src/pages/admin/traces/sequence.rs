//! A sequence diagram as SVG: a column for each participant, a row for each arrow. Each arrow leads to its step below.

use std::fmt::Write as _;

use askama::filters::{Escaper as _, Html};
use bookworm_contracts::rest::operations::{TraceArrow, TraceDiagram};

use super::duration;

/// All in pixels.
const COLUMN: usize = 150;
const ROW: usize = 42;
const HEAD: usize = 56;
/// A label gets an ellipsis beyond this many characters for each column that its arrow spans.
const CHARACTERS: usize = 22;

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A string takes everything.
    let _ = Html.write_escaped_str(&mut out, text);
    out
}

/// The diagram; the empty text for one without arrows.
pub(super) fn draw(diagram: &TraceDiagram) -> String {
    let TraceDiagram { participants, arrows, .. } = diagram;
    if arrows.is_empty() {
        return String::new();
    }
    let (width, height) = (participants.len() * COLUMN, HEAD + arrows.len() * ROW + 24);
    let failures = arrows.iter().filter(|arrow| arrow.failed).count();
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg class=\"seq\" role=\"group\" aria-labelledby=\"seq-title seq-desc\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\"><title id=\"seq-title\">Sequence diagram</title><desc id=\"seq-desc\">{} \
         participants, {} arrows, {failures} of them failed. The table below says the same in words.</desc>",
        participants.len(),
        arrows.len(),
    );
    for (column, name) in participants.iter().enumerate() {
        let x = center(column);
        let _ = write!(
            svg,
            "<line class=\"seq__life\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{}\"/><rect class=\"seq__who\" x=\"{}\" y=\"8\" \
             width=\"{}\" height=\"32\" rx=\"4\"/><text class=\"seq__name\" x=\"{x}\" y=\"29\">{}</text>",
            HEAD - 16,
            height - 8,
            x - COLUMN / 2 + 6,
            COLUMN - 12,
            escaped(name),
        );
    }
    for (row, arrow) in arrows.iter().enumerate() {
        let column = |name: &str| participants.iter().position(|known| known == name).unwrap_or(0);
        one(&mut svg, arrow, center(column(&arrow.from)), center(column(&arrow.to)), HEAD + row * ROW + 30);
    }
    svg.push_str("</svg>");
    svg
}

fn center(column: usize) -> usize {
    column * COLUMN + COLUMN / 2
}

fn one(svg: &mut String, arrow: &TraceArrow, from: usize, to: usize, y: usize) {
    let mut class = "seq__arrow".to_owned();
    for (is, name) in
        [(arrow.reply, "reply"), (arrow.failed, "failed"), (arrow.compensation, "compensation"), (arrow.extra, "extra")]
    {
        if is {
            let _ = write!(class, " seq__arrow--{name}");
        }
    }
    let mut label = arrow.label.clone();
    if let Some(attempt) = arrow.attempt {
        let _ = write!(label, ", attempt {attempt}");
    }
    // Colour alone says nothing to many.
    for (is, word) in [(arrow.failed, "failed"), (arrow.compensation, "compensation"), (arrow.extra, "extra")] {
        if is {
            let _ = write!(label, " [{word}]");
        }
    }
    let took = arrow.duration_us.map(|took| format!(" {}", duration(took))).unwrap_or_default();
    let columns = (from.abs_diff(to) / COLUMN).max(1);
    let shown = shortened(&label, columns * CHARACTERS);
    let what = format!("{} to {}: {label}{took}", arrow.from, arrow.to);
    let _ = write!(
        svg,
        "<a class=\"{class}\" href=\"#s-{}\" aria-label=\"{}\"><title>{}</title>",
        escaped(&arrow.span_id),
        escaped(&what),
        escaped(&what),
    );
    if from == to {
        let (right, below) = (from + 26, y + 10);
        let _ = write!(
            svg,
            "<path class=\"seq__line\" d=\"M{from} {}H{right}V{below}H{}\"/><path class=\"seq__tip\" d=\"M{from} {below}l8 \
             -4v8z\"/><text class=\"seq__label seq__label--own\" x=\"{}\" y=\"{}\">{}<tspan class=\"seq__took\">{took}</tspan></text>",
            y - 4,
            from + 8,
            right + 5,
            y + 6,
            escaped(&shown),
        );
    } else {
        let tip = if to > from { format!("M{to} {y}l-9 -4.5v9z") } else { format!("M{to} {y}l9 -4.5v9z") };
        let (left, right) = (from.min(to), from.max(to));
        let _ = write!(
            svg,
            "<line class=\"seq__line\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/><path class=\"seq__tip\" d=\"{tip}\"/>\
             <text class=\"seq__label\" x=\"{}\" y=\"{}\">{}<tspan class=\"seq__took\">{took}</tspan></text>",
            left.midpoint(right),
            y - 7,
            escaped(&shown),
        );
    }
    svg.push_str("</a>");
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str) -> TraceArrow {
        TraceArrow {
            from: from.to_owned(),
            to: to.to_owned(),
            label: "<script>alert(1)</script> & \"more\"".to_owned(),
            span_id: "00f067aa0ba902b7".to_owned(),
            offset_us: 0,
            duration_us: Some(1_500),
            reply: false,
            failed: true,
            attempt: Some(2),
            compensation: true,
            extra: false,
        }
    }

    #[test]
    fn an_arrow_leads_to_its_step_and_says_in_words_what_colour_says() {
        let participants = vec!["A".to_owned(), "B".to_owned()];
        let arrows = vec![arrow("A", "B"), arrow("B", "B")];
        let svg = draw(&TraceDiagram { participants, arrows, mermaid: String::new() });
        assert_eq!(svg.matches("href=\"#s-00f067aa0ba902b7\"").count(), 2);
        assert!(svg.contains("2 participants, 2 arrows, 2 of them failed"), "{svg}");
        assert!(svg.contains("attempt 2 [failed] [compensation]") && svg.contains("1.5 ms"), "{svg}");
        assert!(!svg.contains("<script>") && !svg.contains("\"more\"\""), "{svg}");
        let nothing = TraceDiagram { participants: Vec::new(), arrows: Vec::new(), mermaid: String::new() };
        assert_eq!(draw(&nothing), "");
    }
}
