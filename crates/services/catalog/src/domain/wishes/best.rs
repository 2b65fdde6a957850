//! "best fantasy", "top 10 thrillers", "newest stephen king".

use super::{Found, Wish, Word, starting};

const BEST: [&str; 14] = [
    "best",
    "the best",
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
/// What is new or best beside a name.
const KINDS: [&str; 8] = ["book", "books", "novel", "novels", "release", "releases", "fiction", "titles"];

/// At the beginning, before something that is rated or new. "New" alone stands in too many titles and places: there it
/// takes a word for books behind it.
pub(super) fn best(words: &[Word]) -> Option<Found> {
    if let Some(length) = starting(words, &BEST) {
        let number = usize::from(words.get(length).is_some_and(|word| word.folded.len() < 4 && is_number(word)));
        // "Top" alone is a place; "top 10" is not. "Best of" is a title.
        let is_top = words[length - 1].folded == "top";
        let goes_on = words.get(length + number).is_some_and(|word| word.folded != "of");
        return ((!is_top || number == 1) && goes_on).then(|| (vec![0..length + number], Wish::Best));
    }
    let length = starting(words, &NEW)?;
    let rest = &words[length..];
    let is_sure = !matches!(words[0].folded.as_str(), "new" | "recent")
        || rest.last().is_some_and(|word| KINDS.contains(&word.folded.as_str()));
    (is_sure && !rest.is_empty()).then(|| (vec![0..length], Wish::New))
}

fn is_number(word: &Word) -> bool {
    word.folded.chars().all(|c| c.is_ascii_digit())
}
