//! "poetry from the 1990s", "novels published in 1984", "thrillers since 2015".

use super::{Found, Wish, Word, starting};

/// Years that books are asked by.
const YEARS: std::ops::RangeInclusive<i64> = 1400..=2100;
const IN: [&str; 11] = [
    "published in",
    "from",
    "released in",
    "written in",
    "of the year",
    "from the year",
    "published",
    "from the",
    "of the",
    "published in the",
    "that came out in",
];
const SINCE: [&str; 8] =
    ["since", "after", "published since", "published after", "newer than", "from after", "written after", "later than"];
const BEFORE: [&str; 7] =
    ["before", "published before", "older than", "from before", "written before", "earlier than", "prior to"];

/// A year, or ten, behind a word that says that it is when a book was published, in a query of more.
pub(super) fn year(words: &[Word]) -> Option<Found> {
    let between = |at: usize| {
        let [first, from, and, to] = words.get(at..at + 4)? else { return None };
        let joined = matches!((first.folded.as_str(), and.folded.as_str()), ("between", "and") | ("from", "to"));
        let (from, to) = (single(from)?, single(to)?);
        (joined && from <= to).then_some((at..at + 4, from, to))
    };
    let behind = |at: usize| {
        let rest = &words[at..];
        let years = |phrases: &[&str]| {
            let length = starting(rest, phrases)?;
            Some((at..at + length + 1, span(rest.get(length)?)?))
        };
        if let Some((place, (from, to))) = years(&IN) {
            return Some((place, from, to));
        }
        if let Some((place, (_, to))) = years(&SINCE) {
            let from =
                if words[at].folded.ends_with("since") { to.min(span(&words[place.end - 1])?.0) } else { to + 1 };
            return Some((place, from, *YEARS.end()));
        }
        years(&BEFORE).map(|(place, (from, _))| (place, 0, from - 1))
    };
    let (place, from, to) = (0..words.len()).find_map(|at| between(at).or_else(|| behind(at)))?;
    (place.len() < words.len()).then(|| (vec![place], Wish::Years(from, to)))
}

/// A year at either end, or ten, in a query of more.
pub(super) fn bare(words: &[Word]) -> Option<Found> {
    let last = words.len().checked_sub(1).filter(|last| *last > 0)?;
    [last, 0].into_iter().find_map(|at| {
        let (from, to) = span(&words[at])?;
        // "best fantasy of 2010"
        let start = if at > 1 && matches!(words[at - 1].folded.as_str(), "of" | "in") { at - 1 } else { at };
        Some((vec![start..at + 1], Wish::Years(from, to)))
    })
}

fn single(word: &Word) -> Option<i64> {
    word.folded.parse().ok().filter(|year| word.folded.len() == 4 && YEARS.contains(year))
}

/// A year, or the years of `1990s`.
fn span(word: &Word) -> Option<(i64, i64)> {
    if let Some(year) = single(word) {
        return Some((year, year));
    }
    let decade: i64 = word.folded.strip_suffix('s')?.parse().ok()?;
    let decade = if (10..100).contains(&decade) && decade > 20 { decade + 1900 } else { decade };
    // `1800s` are a hundred years.
    let length = if decade % 100 == 0 { 100 } else { 10 };
    (YEARS.contains(&decade) && decade % 10 == 0).then_some((decade, decade + length - 1))
}
