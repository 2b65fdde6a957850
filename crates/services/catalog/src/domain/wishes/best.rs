//! "best fantasy", "top 10 thrillers", "newest stephen king".

use super::{Found, Wish, Word, is_kind, starting};

const BEST: [&str; 20] = [
    "best",
    "the best",
    "best selling",
    "bestselling",
    "best rated",
    "the best rated",
    "top rated",
    "highest rated",
    "the highest rated",
    "greatest",
    "the greatest",
    "highly rated",
    "best reviewed",
    "top",
    "what are the best",
    "what is the best",
    "the best selling",
    "the bestselling",
    "top selling",
    "all time best",
];
/// What follows the best at the end of a query and belongs to it.
const OF_ALL: [&str; 9] = [
    "of all time",
    "of all times",
    "of all",
    "all time",
    "ever",
    "ever written",
    "ever published",
    "to read",
    "in the world",
];
const NEW: [&str; 10] = [
    "newest",
    "latest",
    "the newest",
    "the latest",
    "new",
    "recent",
    "most recent",
    "newly published",
    "recently published",
    "brand new",
];

/// At the beginning, before something that is rated; `others`: whether something else was wished already.
pub(super) fn best(words: &[Word], others: bool) -> Option<Found> {
    let length = starting(words, &BEST)?;
    let number = usize::from(words.get(length).is_some_and(|word| word.folded.len() < 4 && is_number(word)));
    // "Top" alone is a place; "top 10" is not. "Best of" is a title.
    let is_top = words[length - 1].folded == "top";
    let goes_on = words.get(length + number).map_or(others, |word| word.folded != "of");
    if (is_top && number == 0) || !goes_on {
        return None;
    }
    let begins = 0..length + number;
    let mut places = vec![begins.clone()];
    places.extend((begins.end + 1..words.len()).find_map(|at| {
        let is_whole = starting(&words[at..], &OF_ALL) == Some(words.len() - at);
        is_whole.then_some(at..words.len())
    }));
    Some((places, Wish::Best))
}

/// At the beginning, before something that is new. "New" alone stands in too many titles and places: there it takes a word
/// for books next to it.
pub(super) fn new(words: &[Word], others: bool) -> Option<Found> {
    let length = starting(words, &NEW)?;
    let next = words.get(length);
    let is_sure = !matches!(words[0].folded.as_str(), "new" | "recent") || next.is_some_and(is_kind);
    (is_sure && (next.is_some() || others)).then(|| (vec![0..length], Wish::New))
}

fn is_number(word: &Word) -> bool {
    word.folded.chars().all(|c| c.is_ascii_digit())
}
