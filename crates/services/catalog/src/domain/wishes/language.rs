//! "murakami in japanese", "harry potter french edition".

use super::{Found, Wish, Word};
use crate::domain::understand::language_named;

/// What stands before a language's name, and behind it.
const BEFORE: [&str; 5] = ["in", "auf", "en", "em", "na"];
const BEHIND: [&str; 5] = ["edition", "editions", "translation", "translations", "version"];

/// "In" a language at the end, or an edition of it anywhere; beside other words.
pub(super) fn language(words: &[Word], _: bool) -> Option<Found> {
    let code = |word: &Word| language_named(&word.folded).map(|code| Wish::Language(code.to_owned()));
    if let [.., before, last] = words
        && words.len() > 2
        && BEFORE.contains(&before.folded.as_str())
        && let Some(wish) = code(last)
    {
        return Some((vec![words.len() - 2..words.len()], wish));
    }
    (0..words.len().saturating_sub(1)).find_map(|at| {
        let is_edition = BEHIND.contains(&words[at + 1].folded.as_str()) && words.len() > 2;
        Some((vec![at..at + 2], code(&words[at]).filter(|_| is_edition)?))
    })
}
