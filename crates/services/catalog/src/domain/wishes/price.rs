//! "cheap books", "thrillers under $10".

use super::{Found, Wish, Word, anywhere, starting};

const CHEAP: [&str; 9] =
    ["cheap", "cheapest", "the cheapest", "inexpensive", "affordable", "low price", "low priced", "budget", "bargain"];
const AT_MOST: [&str; 14] = [
    "under",
    "below",
    "less than",
    "up to",
    "at most",
    "for under",
    "for less than",
    "for up to",
    "cheaper than",
    "for at most",
    "no more than",
    "max",
    "maximum",
    "priced under",
];
const MONEY: [&str; 16] = [
    "dollar", "dollars", "usd", "bucks", "euro", "euros", "eur", "pound", "pounds", "quid", "gbp", "francs", "chf",
    "$", "€", "£",
];

/// A limit anywhere, a word for cheap at either end.
pub(super) fn price(words: &[Word]) -> Option<Found> {
    if let Some(place) = anywhere(words, &AT_MOST)
        && let Some((amount, length)) = amount(&words[place.end..])
    {
        return Some((vec![place.start..place.end + length], Wish::AtMost(amount)));
    }
    if let Some(length) = starting(words, &CHEAP).filter(|length| *length < words.len()) {
        return Some((vec![0..length], Wish::Cheap));
    }
    let last = words.len().checked_sub(1)?;
    (last > 0 && matches!(words[last].folded.as_str(), "cheap" | "cheapest"))
        .then(|| (vec![last..last + 1], Wish::Cheap))
}

/// An amount of money at the beginning, and how many words it takes. Without a currency it must be the last word.
fn amount(words: &[Word]) -> Option<(i64, usize)> {
    let word = &words.first()?.folded;
    let digits = word.trim_matches(|c| matches!(c, '$' | '€' | '£'));
    let number: i64 = digits.split(['.', ',']).next()?.parse().ok().filter(|number| (1..10_000).contains(number))?;
    match words.get(1) {
        Some(next) if MONEY.contains(&next.folded.as_str()) => Some((number, 2)),
        None => Some((number, 1)),
        Some(_) => (digits.len() < word.len()).then_some((number, 1)),
    }
}
