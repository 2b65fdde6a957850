//! Whether a query names a title.

use bookworm_search::is_like;

use super::{text::query_words, understand::STOP_WORDS};

/// Whether a query says all of a title of two words or more, each as it is or spelt alike, and at most one word beside
/// it. A title of one word may be meant by chance.
pub(crate) fn is_named(words: &[String], title: &str) -> bool {
    // What comes behind a colon is left out by most.
    let name = title.split([':', ';']).next().unwrap_or(title);
    let telling = |text: &str| -> Vec<String> {
        query_words(text).into_iter().filter(|word| !STOP_WORDS.iter().any(|list| list.contains(word))).collect()
    };
    let is_same = |word: &str, other: &str| word == other || is_like(word, other);
    let name = telling(name);
    let words: Vec<&String> = words.iter().filter(|word| !STOP_WORDS[0].contains(*word)).collect();
    let beside = words.iter().filter(|word| !name.iter().any(|other| is_same(word, other))).count();
    name.len() > 1 && beside <= 1 && name.iter().all(|word| words.iter().any(|other| is_same(other, word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_whole_title() {
        for (query, title, named) in [
            ("grate gatsby", "The Great Gatsby", true),
            ("great gatsby fitzgerald", "The Great Gatsby", true),
            ("moby dick", "Moby-Dick; or, The Whale", true),
            ("animal farm", "Cold Comfort Farm", false),
            ("animal farm", "My Family and Other Animals", false),
            ("harry potter", "Harrius Potter et Philosophi Lapis", false),
            ("emma watson", "Emma", false),
            ("gone girl", "Girl, Interrupted", false),
        ] {
            assert_eq!(is_named(&query_words(query), title), named, "{query} / {title}");
        }
    }
}
