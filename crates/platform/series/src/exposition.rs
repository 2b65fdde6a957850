//! The text format of Prometheus: `name{label="value"} 1.5`.

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// The metric, such as `http_requests_total`; of histograms with `_bucket`, `_sum` or `_count`.
    pub name: &'a str,
    /// Labels as they come.
    pub labels: Vec<(&'a str, String)>,
    /// The value.
    pub value: f64,
}

/// Every sample of an answer to a scrape. What is no sample, such as a comment, is left out.
pub fn parse(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(line)
}

/// The name that a line begins with, for whoever wants few of many.
pub(crate) fn name_of(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

fn line(line: &str) -> Option<Line<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let name = name_of(line);
    let (labels, rest) = match line.get(name.len()..)?.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), &line[name.len()..]),
    };
    // A time may follow; the reader's own counts.
    let value = number(rest.split_whitespace().next()?)?;
    (!name.is_empty()).then_some(Line { name, labels, value })
}

pub(crate) fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// Labels up to their closing brace, and what follows.
pub(crate) fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((all, after));
        }
        let (name, quoted) = rest.split_once('=')?;
        let mut letters = quoted.strip_prefix('"')?.char_indices();
        let mut value = String::new();
        rest = loop {
            match letters.next()? {
                (_, '\\') => match letters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (at, '"') => break &quoted[at + 2..],
                (_, letter) => value.push(letter),
            }
        };
        all.push((name.trim(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_all_else_is_left_out() {
        let text = "# HELP a what\n# TYPE a counter\na 1\nb{x=\"1\",y=\"a \\\"b\\\\\\n}\"} 2.5 1700000000\n\nc{} +Inf\n\
                    d{x=\"unfinished} 1\ne{x=1} 1\nf one\n";
        let found: Vec<_> = parse(text).collect();
        let line = |name, labels, value| Line { name, labels, value };
        let b = vec![("x", "1".to_owned()), ("y", "a \"b\\\n}".to_owned())];
        assert_eq!(found, [line("a", vec![], 1.0), line("b", b, 2.5), line("c", vec![], f64::INFINITY)]);
    }
}
