//! Values as they stand in files, and what they mean.

use std::borrow::Cow;

use crate::domain::text::fold;

/// A value without what programs put around it: Excel's `="..."`, an apostrophe before digits, entities of HTML, control
/// characters.
pub(super) fn clean(text: &str) -> String {
    let text = text.trim();
    let formula = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    let text = formula.map_or(Cow::Borrowed(text), |inner| Cow::Owned(inner.replace("\"\"", "\"")));
    let text = match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => &text,
    };
    entities(text).trim().to_owned()
}

/// Entities of HTML as the letters that they stand for, also where they were written twice over (`&amp;eacute;`).
pub(super) fn entities(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..2 {
        if !(text.contains('&') && text.contains(';')) {
            break;
        }
        let decoded = html_escape::decode_html_entities(&text).into_owned();
        if decoded == text {
            break;
        }
        text = decoded;
    }
    text.replace('\u{a0}', " ")
}

/// One line without control characters and tags.
pub(super) fn line(text: &str) -> String {
    let cleaned: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cleaned.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A description: HTML becomes plain paragraphs.
pub(super) fn prose(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = if is_html(&text) { without_tags(&text) } else { text };
    let cleaned: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let mut lines: Vec<&str> = cleaned.lines().map(str::trim).collect();
    // One blank line is enough.
    lines.dedup_by(|a, b| a.is_empty() && b.is_empty());
    lines.join("\n").trim().to_owned()
}

fn is_html(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["<p", "<br", "</", "<div", "<span", "<b>", "<i>", "<em>", "<strong>", "<ul"].iter().any(|tag| lower.contains(tag))
}

fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        plain.push_str(&rest[..open]);
        let tag = &rest[open + 1..];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match tag.find('>').filter(|_| is_tag) {
            Some(end) => {
                let name: String =
                    tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                match name.to_ascii_lowercase().as_str() {
                    "p" | "div" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "blockquote" => plain.push_str("\n\n"),
                    "br" | "li" | "tr" => plain.push('\n'),
                    _ => {}
                }
                rest = &tag[end + 1..];
            }
            None => {
                plain.push('<');
                rest = tag;
            }
        }
    }
    plain.push_str(rest);
    entities(&plain)
}

/// A whole number: `1,234`, `300.0`, `300`. `None` when it is none.
pub(super) fn whole(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('+');
    let (sign, digits) = text.strip_prefix(['-', '\u{2212}']).map_or((1, text), |rest| (-1, rest));
    // Decimals that say nothing.
    let digits = match digits.rsplit_once(['.', ',']) {
        Some((whole, zeros)) if !whole.is_empty() && zeros.len() <= 2 && zeros.bytes().all(|b| b == b'0') => whole,
        _ => digits,
    };
    let separator = digits.chars().find(|c| !c.is_ascii_digit());
    let joined: String = match separator {
        None => digits.to_owned(),
        Some(separator) if matches!(separator, ',' | '.' | '\'' | ' ' | '\u{202f}' | '’') => {
            let groups: Vec<&str> = digits.split(separator).collect();
            let (first, rest) = groups.split_first()?;
            if !(1..=3).contains(&first.len()) || rest.iter().any(|group| group.len() != 3) {
                return None;
            }
            groups.concat()
        }
        Some(_) => return None,
    };
    if joined.is_empty() || !joined.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    joined.parse::<i64>().ok().map(|number| sign * number)
}

/// Runs of digits in a text.
fn numbers(text: &str) -> Vec<(usize, i64)> {
    let mut all = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if let Ok(number) = text[start..at].parse() {
            all.push((at, number));
        }
    }
    all
}

/// How many pages: `300`, `300 p.`, `xii, 300 pages`, `1,024`. `None` when the text does not say.
pub(super) fn pages(text: &str) -> Option<i64> {
    if let Some(number) = whole(text) {
        return Some(number);
    }
    let folded = fold(text);
    let all = numbers(&folded);
    let named = all.iter().find(|(end, _)| {
        let rest = folded[*end..].trim_start();
        let word: String = rest.chars().take_while(|c| c.is_alphabetic()).collect();
        matches!(
            word.as_str(),
            "p" | "pp"
                | "pg"
                | "pgs"
                | "page"
                | "pages"
                | "s"
                | "seite"
                | "seiten"
                | "pag"
                | "pagina"
                | "paginas"
                | "pagine"
                | "blz"
                | "bladzijden"
                | "sider"
                | "sidor"
                | "str"
        )
    });
    match (named, all.as_slice()) {
        (Some((_, number)), _) | (None, [(_, number)]) => Some(*number),
        _ => None,
    }
}

/// The year in `1999`, `1999.0`, `-700`, `c1999`, `[1999?]`, `1999-05-01`, `01.05.1999`, `May 1999`, `44 BC`. `None`
/// when the text does not say.
pub(super) fn year(text: &str) -> Option<i64> {
    let text = text.trim();
    // No separator of thousands in years.
    let plain = text
        .split_once(['.', ','])
        .filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0'))
        .map_or(text, |(year, _)| year);
    if let Ok(year) = plain.parse() {
        return Some(year);
    }
    let folded = fold(text);
    let all = numbers(&folded);
    let before = ["bc", "b.c", "bce", "v. chr", "v.chr", "av. j"].iter().any(|era| folded.contains(era));
    if before {
        return all.first().map(|(_, year)| -year);
    }
    let mut years = all.iter().map(|(_, number)| *number).filter(|number| (1000..=2999).contains(number));
    let first = years.next();
    // A range, such as 1954-1955, begins with its first; two dates that are further apart tell nothing.
    first.filter(|first| years.all(|other| (other - first).abs() <= 100))
}

/// Whether a text says yes or no.
pub(super) fn truth(text: &str) -> Option<bool> {
    match fold(text).as_str() {
        "1" | "true" | "yes" | "y" | "active" | "published" | "publish" | "ja" | "oui" | "si" => Some(true),
        "0" | "-1" | "false" | "no" | "n" | "draft" | "archived" | "private" | "pending" | "unlisted" | "nein"
        | "non" => Some(false),
        _ => None,
    }
}

/// A decimal number, with a point or a comma: `4.25`, `4,25`.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let text = text.trim().replace(',', ".");
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse::<f64>().ok().filter(|number| plain && number.is_finite())
}

/// The parts of a list, at any of these characters.
pub(super) fn parts(text: &str, separators: &[char]) -> Vec<String> {
    text.split(separators).map(line).filter(|part| !part.is_empty()).collect()
}

/// Words behind a comma that belong to the name before it.
const SUFFIXES: [&str; 16] =
    ["jr", "sr", "ii", "iii", "iv", "phd", "md", "dr", "prof", "inc", "ltd", "llc", "esq", "ma", "obe", "editor"];

/// The names in a value of one column: parted by `;` or `|`, or by commas where each part is a whole name. A surname
/// before a comma (`Le Guin, Ursula K.`) stays with its first names.
pub(super) fn people(text: &str) -> Vec<String> {
    if text.contains([';', '|']) {
        return parts(text, &[';', '|']);
    }
    let all = parts(text, &[',']);
    let whole = |part: &String| {
        let words: Vec<&str> = part.split_whitespace().collect();
        words.len() >= 2
            && !words.iter().any(|word| SUFFIXES.contains(&fold(word).replace('.', "").as_str()))
            && words.last().is_some_and(|last| last.chars().filter(|c| c.is_alphabetic()).count() > 1)
    };
    // "Le Guin, Ursula K.": a last word of one letter is an initial, not a surname.
    if all.len() >= 2 && all.iter().all(whole) && !turned_round(&all) { all } else { parts(text, &[]) }
}

/// Two parts of which the first looks like a surname with its particle: `Le Guin, Ursula Kroeber`.
fn turned_round(parts: &[String]) -> bool {
    const PARTICLES: [&str; 20] = [
        "le", "la", "de", "du", "des", "van", "von", "der", "den", "di", "da", "del", "della", "dos", "el", "al", "st",
        "st.", "ter", "ten",
    ];
    let first = parts.first().map(|part| fold(part)).unwrap_or_default();
    parts.len() == 2 && first.split(' ').next().is_some_and(|word| PARTICLES.contains(&word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_undressed() {
        for (text, plain) in [
            ("=\"9780306406157\"", "9780306406157"),
            ("=\"\"", ""),
            ("'0306406152", "0306406152"),
            ("'Tis Pity", "'Tis Pity"),
            ("Ren&eacute; Thi&eacute;blemont", "René Thiéblemont"),
            ("Tom &amp; Jerry", "Tom & Jerry"),
            ("Caf&amp;eacute;", "Café"),
            ("&#82;&#x65;n&#233;", "René"),
            ("AT&T; more", "AT&T; more"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(clean(text), plain, "{text}");
        }
        assert_eq!(prose("<p>One <b>two</b></p><p>three<br/>4 &lt; 5</p>"), "One two\n\nthree\n4 < 5");
        assert_eq!(prose("1 < 2 and a>b\r\nx"), "1 < 2 and a>b\nx");
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, number) in [
            ("300", Some(300)),
            ("1,024", Some(1024)),
            ("1.024", Some(1024)),
            ("300.0", Some(300)),
            ("300,00", Some(300)),
            ("-3", Some(-3)),
            ("", None),
            ("3.5", None),
            ("many", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
        for (text, number) in [
            ("300 p.", Some(300)),
            ("xii, 300 pages : ill. ; 23 cm", Some(300)),
            ("304 ", Some(304)),
            ("ca. 300", Some(300)),
            ("450 Seiten", Some(450)),
            ("0", Some(0)),
            ("3 vol., 20 cm", None),
            ("unpaged", None),
        ] {
            assert_eq!(pages(text), number, "{text}");
        }
        for (text, number) in [
            ("1999", Some(1999)),
            ("1999.0", Some(1999)),
            ("-700", Some(-700)),
            ("c1999", Some(1999)),
            ("[1999?]", Some(1999)),
            ("1999-05-01", Some(1999)),
            ("01.05.1999", Some(1999)),
            ("5/1/1999", Some(1999)),
            ("May 1999", Some(1999)),
            ("1954-1955", Some(1954)),
            ("44 BC", Some(-44)),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(year(text), number, "{text}");
        }
        assert_eq!(
            (decimal("4,25"), decimal("4.25"), decimal("four"), decimal("-1")),
            (Some(4.25), Some(4.25), None, None)
        );
        assert_eq!((truth("draft"), truth("TRUE"), truth("?")), (Some(false), Some(true), None));
    }

    #[test]
    fn people_are_told_apart() {
        for (text, names) in [
            ("Terry Pratchett;Neil Gaiman", &["Terry Pratchett", "Neil Gaiman"][..]),
            ("Terry Pratchett, Neil Gaiman", &["Terry Pratchett", "Neil Gaiman"]),
            ("Rowling, J.K.", &["Rowling, J.K."]),
            ("Le Guin, Ursula K.", &["Le Guin, Ursula K."]),
            ("Le Guin, Ursula Kroeber", &["Le Guin, Ursula Kroeber"]),
            ("Martin Luther King, Jr.", &["Martin Luther King, Jr."]),
            ("King, Martin Luther, Jr.", &["King, Martin Luther, Jr."]),
            ("Plato", &["Plato"]),
            ("", &[]),
        ] {
            assert_eq!(people(text), names, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = (clean(&text), prose(&text), whole(&text), pages(&text), year(&text), people(&text), decimal(&text), truth(&text));
        }
    }
}
