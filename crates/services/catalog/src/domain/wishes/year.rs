//! "poetry books from the 1990s", "novels published in 1984", "thrillers published since 2015".

use std::ops::Range;

use super::{Found, Wish, Word, is_books, starting};

/// Years that books are asked by.
const YEARS: std::ops::RangeInclusive<i64> = 1400..=2100;
/// Words for books' becoming: behind them a year is theirs.
const MADE: [&str; 5] = ["published", "released", "written", "printed", "out"];
const IN: [&str; 8] = ["in", "in the", "from", "from the", "of", "of the", "of the year", "from the year"];
const SINCE: [&str; 6] = ["since", "after", "newer than", "from after", "later than", "since the"];
const BEFORE: [&str; 7] = ["before", "older than", "from before", "earlier than", "prior to", "before the", "until"];

/// A year, or ten, that is when a book was published: behind a word for that, or for books ("novels from 1984"). "Europe
/// since 1945" and "Berlin of the 1920s" are subjects.
pub(super) fn year(words: &[Word], _: bool) -> Option<Found> {
    // "History books since 1945" are about it.
    let is_history = words.iter().any(|word| word.folded.starts_with("histor"));
    let (place, from, to) = (1..words.len()).find_map(|at| {
        let before = &words[at - 1];
        let is_made = MADE.contains(&before.folded.as_str());
        if !is_made && (is_history || !is_books(before)) {
            return None;
        }
        let (length, from, to) = years(&words[at..], is_made)?;
        let start = if is_made { made_from(words, at - 1) } else { at };
        Some((start..at + length, from, to))
    })?;
    (place.len() < words.len()).then(|| (vec![place], Wish::Years(from, to)))
}

/// Where "that came out", "was published" begins.
fn made_from(words: &[Word], mut at: usize) -> usize {
    while at > 0 && matches!(words[at - 1].folded.as_str(), "came" | "that" | "was" | "were" | "which" | "first") {
        at -= 1;
    }
    at
}

/// What years these words begin with, and how many words say so.
fn years(words: &[Word], is_made: bool) -> Option<(usize, i64, i64)> {
    if let [first, from, and, to, ..] = words
        && matches!((first.folded.as_str(), and.folded.as_str()), ("between", "and") | ("from", "to"))
        && let (Some(from), Some(to)) = (single(from), single(to))
    {
        return (from <= to).then_some((4, from, to));
    }
    // "published 1984"
    if let Some((from, to)) = words.first().and_then(span).filter(|_| is_made) {
        return Some((1, from, to));
    }
    let behind = |phrases: &[&str]| {
        let length = starting(words, phrases)?;
        Some((length, span(words.get(length)?)?))
    };
    if let Some((length, (from, to))) = behind(&IN) {
        // "books in 1984", "novels of 1848" may be about it.
        let is_sure = is_made || !matches!(words[0].folded.as_str(), "in" | "of");
        return is_sure.then_some((length + 1, from, to));
    }
    if let Some((length, (from, to))) = behind(&SINCE) {
        let is_since = words[..length].iter().any(|word| word.folded == "since");
        return Some((length + 1, if is_since { from } else { to + 1 }, *YEARS.end()));
    }
    behind(&BEFORE).map(|(length, (from, _))| (length + 1, 0, from - 1))
}

/// A year, or ten, as the last word of a query for the best.
pub(super) fn bare(words: &[Word]) -> Option<Found> {
    let last = words.len().checked_sub(1).filter(|last| *last > 0)?;
    let (from, to) = span(&words[last])?;
    // "best fantasy of 2010"
    let of = |at: usize, names: &[&str]| at > 1 && names.contains(&words[at - 1].folded.as_str());
    let mut start = last;
    if of(start, &["the"]) && of(start - 1, &["of", "in", "from"]) {
        start -= 1;
    }
    if of(start, &["of", "in", "from"]) {
        start -= 1;
    }
    let place: Range<usize> = start..last + 1;
    Some((vec![place], Wish::Years(from, to)))
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
    // `1800s` are a hundred years; nobody means those of `2000s`.
    let length = if decade % 100 == 0 && decade < 2000 { 100 } else { 10 };
    (YEARS.contains(&decade) && decade % 10 == 0).then_some((decade, decade + length - 1))
}
