//! "cheap books", "thrillers under $10".

use super::{Found, Wish, Word, anywhere, is_books, is_kind, starting};

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

/// A limit anywhere.
pub(super) fn price(words: &[Word], _: bool) -> Option<Found> {
    let place = anywhere(words, &AT_MOST)?;
    let (cents, length, has_currency) = amount(&words[place.end..])?;
    // "Mad Max 2", "kids under 10", "30 under 30": a number alone is a price only of books.
    let is_for = matches!(words[place.start].folded.as_str(), "for" | "cheaper" | "priced");
    let is_of_books = || place.start.checked_sub(1).is_some_and(|before| is_books(&words[before]));
    let is_max = matches!(words[place.start].folded.as_str(), "max" | "maximum");
    let is_sure = has_currency || (!is_max && (is_for || is_of_books()));
    is_sure.then(|| (vec![place.start..place.end + length], Wish::AtMost(cents)))
}

/// A word for cheap at either end. "Budget travel" and "affordable housing" are subjects: those words take one for books
/// next to them.
pub(super) fn cheap(words: &[Word], others: bool) -> Option<Found> {
    if let Some(length) = starting(words, &CHEAP) {
        let next = words.get(length);
        let is_subject = matches!(words[0].folded.as_str(), "affordable" | "budget" | "bargain" | "low");
        let is_sure = !is_subject || next.is_some_and(is_kind);
        return (is_sure && (next.is_some() || others)).then(|| (vec![0..length], Wish::Cheap));
    }
    let last = words.len().checked_sub(1)?;
    (last > 0 && matches!(words[last].folded.as_str(), "cheap" | "cheapest"))
        .then(|| (vec![last..last + 1], Wish::Cheap))
}

/// An amount of money at the beginning in hundredths, how many words it takes, and whether it says a currency. Without one
/// it must be the last word.
fn amount(words: &[Word]) -> Option<(i64, usize, bool)> {
    let word = &words.first()?.folded;
    let digits = word.trim_matches(|c| matches!(c, '$' | '€' | '£'));
    let cents = hundredths(digits).filter(|cents| (1..=1_000_000).contains(cents))?;
    let is_marked = digits.len() < word.len();
    match words.get(1) {
        Some(next) if MONEY.contains(&next.folded.as_str()) => Some((cents, 2, true)),
        None => Some((cents, 1, is_marked)),
        Some(_) => is_marked.then_some((cents, 1, true)),
    }
}

/// `10`, `9.99`, `9,99`, `1,000`, `1.000,50`: three digits behind a mark are thousands, fewer at the end hundredths.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, part) = match text.rsplit_once(['.', ',']) {
        Some((whole, part)) if part.len() < 3 => (whole, part),
        _ => (text, ""),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let mut groups = whole.split(['.', ',']);
    let first = groups.next().filter(|first| !first.is_empty() && first.len() < 6 && digits(first))?;
    let mut number = first.to_owned();
    for group in groups {
        if group.len() != 3 || !digits(group) || first.len() > 3 {
            return None;
        }
        number.push_str(group);
    }
    if !digits(part) {
        return None;
    }
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    Some(number.parse::<i64>().ok()?.checked_mul(100)? + part)
}
