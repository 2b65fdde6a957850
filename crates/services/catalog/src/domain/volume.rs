//! Which volume of a series a query asks for: "harry potter 3", "mistborn #2", "wheel of time book one", "second mistborn
//! book", and the position as an import says it.

use super::{draft::SERIES_POSITION, text::fold};

/// A series by what it is called, and one of its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// As typed, without the number.
    pub(crate) series: String,
    /// Hundredths: 150 is the story between the first volume and the second.
    pub(crate) position: i64,
    /// Whether a word or a sign says that the number is one of a volume: "world war 2" may be none.
    pub(crate) is_marked: bool,
}

/// Words before a number that is a volume's.
const MARKERS: [&str; 16] = [
    "book", "vol", "volume", "part", "number", "no", "nr", "episode", "tome", "band", "teil", "bd", "buch", "libro",
    "livre", "tomo",
];
/// Words that a series is called besides its name.
const KINDS: [&str; 9] = ["series", "saga", "trilogy", "cycle", "novels", "books", "book", "chronicles", "novel"];

const CARDINALS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const ORDINALS: [&str; 12] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
];
const ROMAN: [&str; 12] = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"];

/// The volume that a query asks for, as far as its form tells; whether there is such a series is for the index to say.
pub(crate) fn volume(query: &str) -> Option<Volume> {
    let words: Vec<String> = query
        .split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| fold(word.trim_matches(|c: char| !c.is_alphanumeric() && c != '#')))
        .filter(|word| !word.is_empty())
        .collect();
    let (mut series, position, is_marked) =
        behind(&words).or_else(|| before(&words).map(|(series, position)| (series, position, true)))?;
    // "the second book of the mistborn series"
    while series.len() > 1 && series.last().is_some_and(|word| KINDS.contains(&word.as_str())) {
        series.pop();
    }
    while series.len() > 1 && matches!(series[0].as_str(), "of" | "in" | "the" | "from") {
        series.remove(0);
    }
    (!series.is_empty()).then(|| Volume { series: series.join(" "), position, is_marked })
}

/// A number behind the name.
fn behind(words: &[String]) -> Option<(Vec<String>, i64, bool)> {
    let (last, rest) = words.split_last()?;
    if let Some(number) = last.strip_prefix('#') {
        let rest =
            rest.split_last().filter(|(word, _)| MARKERS.contains(&word.as_str())).map_or(rest, |(_, rest)| rest);
        return Some((rest.to_vec(), position(number)?, true));
    }
    let (before_last, earlier) = rest.split_last()?;
    if MARKERS.contains(&before_last.as_str()) || before_last == "#" {
        return Some((
            earlier.to_vec(),
            position(last).or_else(|| place(last, &CARDINALS)).or_else(|| place(last, &ROMAN))?,
            true,
        ));
    }
    let roman = || place(last, &ROMAN).filter(|_| last.len() > 1);
    Some((rest.to_vec(), position(last).or_else(roman)?, false))
}

/// A number before the name: "book 2 of mistborn", "second mistborn book", "2nd mistborn book".
fn before(words: &[String]) -> Option<(Vec<String>, i64)> {
    let words = if words.first().is_some_and(|word| word == "the") { &words[1..] } else { words };
    let (first, rest) = words.split_first()?;
    if MARKERS.contains(&first.as_str()) {
        let (number, rest) = rest.split_first()?;
        let number = number.trim_start_matches('#');
        let joined = rest.first().is_some_and(|word| matches!(word.as_str(), "of" | "in" | "from"));
        let position = position(number).or_else(|| place(number, &CARDINALS))?;
        return joined.then(|| (rest.to_vec(), position));
    }
    let ordinal = place(first, &ORDINALS).or_else(|| {
        let digits = first.strip_suffix("st").or_else(|| first.strip_suffix("nd"));
        position(digits.or_else(|| first.strip_suffix("rd")).or_else(|| first.strip_suffix("th"))?)
    })?;
    let (kind, others): (Vec<&String>, Vec<&String>) = rest.iter().partition(|word| KINDS.contains(&word.as_str()));
    // "first man" is a title; "first mistborn book" is not.
    (!kind.is_empty() && !others.is_empty()).then(|| (others.into_iter().cloned().collect(), ordinal))
}

fn place(word: &str, list: &[&str]) -> Option<i64> {
    let at = list.iter().position(|other| *other == word)?;
    i64::try_from(at + 1).ok().map(|number| number * 100)
}

/// A position as an import or a reader writes it, in hundredths: `2`, `0.5`. None of several volumes in one (`1-3`), nor of
/// what no series has.
pub(crate) fn position(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    let position = whole.parse::<i64>().ok()? * 100 + part;
    // A higher one is a year, or part of a name.
    (position <= SERIES_POSITION).then_some(position)
}

/// The position behind a comma or a `#` in the name of a series, as some lists have it: `World of Ants, 2`.
pub(crate) fn position_in_name(series: &str) -> Option<i64> {
    let (_, number) = series.rsplit_once([',', '#'])?;
    position(number.trim().trim_start_matches('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_asked_for_in_many_ways() {
        for (query, series, position) in [
            ("harry potter 3", "harry potter", 300),
            ("mistborn #2", "mistborn", 200),
            ("Mistborn # 2", "mistborn", 200),
            ("wheel of time book 1", "wheel of time", 100),
            ("The Wheel of Time, Book One", "wheel of time", 100),
            ("wheel of time book #1", "wheel of time", 100),
            ("discworld vol. 12", "discworld", 1_200),
            ("dune part ii", "dune", 200),
            ("twilight saga 2", "twilight", 200),
            ("witcher 0.5", "witcher", 50),
            ("book 2 of the mistborn series", "mistborn", 200),
            ("second mistborn book", "mistborn", 200),
            ("the 3rd book in the expanse series", "expanse", 300),
            ("rocky iii", "rocky", 300),
        ] {
            let found = volume(query).map(|found| (found.series, found.position));
            assert_eq!(found, Some((series.to_owned(), position)), "{query}");
        }
        for (query, is_marked) in [
            ("world war 2", false),
            ("rocky iii", false),
            ("mistborn #2", true),
            ("dune part 2", true),
            ("2nd dune book", true),
        ] {
            assert_eq!(volume(query).map(|found| found.is_marked), Some(is_marked), "{query}");
        }
        for query in
            ["harry potter", "fahrenheit 451", "nineteen 1984", "first man", "second foundation", "3", "book 1", "1984"]
        {
            assert_eq!(volume(query), None, "{query}");
        }
    }

    #[test]
    fn positions_are_single_volumes() {
        for (text, hundredths) in [
            ("1", Some(100)),
            ("0.5", Some(50)),
            ("2.25", Some(225)),
            (" 12 ", Some(1_200)),
            ("1-3", None),
            ("", None),
            ("1.", Some(100)),
            ("a", None),
            ("404", None),
            ("-1", None),
            ("151", None),
        ] {
            assert_eq!(position(text), hundredths, "{text}");
        }
        for (series, hundredths) in
            [("World of Ants, 2", Some(200)), ("Dune #1.5", Some(150)), ("Dune", None), ("Love, Loss", None)]
        {
            assert_eq!(position_in_name(series), hundredths, "{series}");
        }
    }
}
