//! What in a review is looked at by a person before others see it.

use std::collections::HashSet;

use bookworm_kernel::has_link;
use sha2::{Digest, Sha256};

use super::Reason;

/// From this many letters on, two reviews with the same text are no coincidence.
const TELLING_LETTERS: usize = 30;
/// A character more often in a row than this is no word.
const LONGEST_RUN: usize = 7;
/// From this many words on, a text repeats itself when fewer than a third of them differ.
const TELLING_WORDS: usize = 12;

/// Why a review with these words is held, if it is.
pub(crate) fn screen(title: Option<&str>, text: Option<&str>) -> Option<Reason> {
    let texts = || [title, text].into_iter().flatten();
    if texts().any(|text| text.contains(['@', '＠'])) {
        return Some(Reason::Address);
    }
    if texts().any(has_link) {
        return Some(Reason::Link);
    }
    texts().any(repeats_itself).then_some(Reason::Repeated)
}

fn repeats_itself(text: &str) -> bool {
    let (mut last, mut run) = (None, 0);
    for c in text.chars() {
        run = if last == Some(c) { run + 1 } else { 1 };
        last = Some(c);
        // Dots lead to a page, and dashes part paragraphs.
        if run > LONGEST_RUN && c.is_alphanumeric() {
            return true;
        }
    }
    let words: Vec<String> = words(text).collect();
    let different: HashSet<&String> = words.iter().collect();
    words.len() >= TELLING_WORDS && different.len() * 3 < words.len()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// What two reviews with the same words share, whatever their case, spaces and punctuation. `None` when the text is so
/// short that two readers may well have written the same.
pub(crate) fn fingerprint(text: Option<&str>) -> Option<String> {
    let words: Vec<String> = words(text?).collect();
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    (letters >= TELLING_LETTERS).then(|| {
        let hash = Sha256::digest(words.join(" "));
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_links_and_repetition_are_found() {
        let cases = [
            ("Write to me: ann@example.org", Some(Reason::Address)),
            ("ann＠example.org", Some(Reason::Address)),
            ("More at https://evil.example/x", Some(Reason::Link)),
            ("see www.evil.example", Some(Reason::Link)),
            ("Cheaper at evil\u{200B}.com", Some(Reason::Link)),
            ("hxxp evil", Some(Reason::Link)),
            ("Goooooooooood", Some(Reason::Repeated)),
            ("buy buy buy buy buy buy buy buy buy buy buy buy", Some(Reason::Repeated)),
            ("A quiet book. I read it twice, and would again.", None),
            ("Well......... no", None),
            ("Chapter 3 costs 12.99 elsewhere; 4.5 of 5", None),
            ("Ünïcode ist schön, und Tränen gibt es auch", None),
            ("<b>bold</b> & <script>alert(1)</script>", None),
        ];
        for (text, expected) in cases {
            assert_eq!(screen(None, Some(text)), expected, "{text}");
            assert_eq!(screen(Some(text), None), expected, "{text} as a title");
        }
        assert_eq!(screen(None, None), None);
    }

    #[test]
    fn the_same_words_have_the_same_fingerprint() {
        let print = |text| fingerprint(Some(text));
        let text = "The best book that I have ever read in my life.";
        assert_eq!(print(text), print("the BEST  book, that I have ever read; in my life!!!"));
        assert_ne!(print(text), print("The best book that I have ever read in my whole life."));
        assert_eq!(print("Loved it!"), None, "many readers write this");
        assert_eq!(fingerprint(None), None);
    }
}
