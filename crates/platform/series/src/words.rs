//! The templates of annotations: `{{ $value | humanizeDuration }}`.

use crate::labels::Labels;

/// Fills in a template. What is not understood stays as it is.
pub(crate) fn fill(template: &str, labels: &Labels, value: f64) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((inner, behind)) = after.split_once("}}") else {
            text.push_str("{{");
            rest = after;
            break;
        };
        match expand(inner.trim(), labels, value) {
            Some(word) => text.push_str(&word),
            None => text.push_str(&format!("{{{{{inner}}}}}")),
        }
        rest = behind;
    }
    text + rest
}

fn expand(inner: &str, labels: &Labels, value: f64) -> Option<String> {
    if let Some(label) = inner.strip_prefix("$labels.") {
        return Some(labels.get(label).to_owned());
    }
    let (what, how) = inner.split_once('|').map_or((inner, ""), |(what, how)| (what.trim(), how.trim()));
    if what != "$value" {
        return None;
    }
    Some(match how {
        "" => format!("{value}"),
        "humanize" => humanize(value),
        "humanizePercentage" => format!("{}%", short(value * 100.0)),
        "humanizeDuration" => duration(value),
        _ => return None,
    })
}

/// With four digits that count, as `%.4g` of C.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    // Rounding may carry into another digit: 9.99996 is 10.
    let exponent: i32 = format!("{value:.3e}").split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    if !(-4..4).contains(&exponent) {
        let text = format!("{value:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        let (sign, power) = power.strip_prefix('-').map_or(("+", power), |power| ("-", power));
        return format!("{digits}e{sign}{power:0>2}");
    }
    let text = format!("{value:.*}", usize::try_from(3 - exponent).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// With a prefix of the metric system.
fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return short(value);
    }
    let (mut value, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            (value, prefix) = (value / 1000.0, next);
        }
    } else {
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if value.abs() >= 1.0 {
                break;
            }
            (value, prefix) = (value * 1000.0, next);
        }
    }
    format!("{}{prefix}", short(value))
}

/// Of seconds.
fn duration(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{}s", short(value));
    }
    if value.abs() < 1.0 {
        return format!("{}s", humanize(value));
    }
    let (sign, value) = if value < 0.0 { ("-", -value) } else { ("", value) };
    let whole = value as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", short(value)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_prometheus() {
        let labels: Labels = [("callee", "basket")].into_iter().collect();
        for (template, value, text) in [
            ("{{ $labels.callee }}: {{$value}}", 2.0, "basket: 2"),
            ("{{ $value | humanize }} of {{ $labels.none }}", 0.25, "250m of "),
            ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
            ("{{ $value | humanizePercentage }}", 0.02, "2%"),
            ("{{ $value | humanizePercentage }}", 0.123_456, "12.35%"),
            ("{{ $value | humanizeDuration }}", 28.000_000_1, "28s"),
            ("{{ $value | humanizeDuration }}", 420.0, "7m 0s"),
            ("{{ $value | humanizeDuration }}", 4_800.0, "1h 20m 0s"),
            ("{{ $value | humanizeDuration }}", 90_061.0, "1d 1h 1m 1s"),
            ("{{ $value | humanizeDuration }}", 0.5, "500ms"),
            ("{{ $value | other }} {{", 1.0, "{{ $value | other }} {{"),
        ] {
            assert_eq!(fill(template, &labels, value), text);
        }
        assert_eq!(
            (short(9.99996), short(123_456.0), short(0.000_01)),
            ("10".into(), "1.235e+05".into(), "1e-05".into())
        );
    }
}
