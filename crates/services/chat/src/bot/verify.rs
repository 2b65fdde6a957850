//! Checks that a sentence states only facts.
//!
//! A language model may choose the words, nothing else. The check is strict and simple: a sentence that it cannot verify
//! is not used, and the answer falls back to the template.

use std::collections::HashSet;

/// The longest answer, in characters.
const LONGEST: usize = 1_200;

/// Stems of words that make a promise: they must come from the facts.
const CLAIMS: &[&str] = &[
    "arriv",
    "availabl",
    "cancel",
    "charg",
    "complet",
    "confirm",
    "deliver",
    "discount",
    "expir",
    "express",
    "fee",
    "free",
    "fund",
    "guarant",
    "lost",
    "money",
    "month",
    "hour",
    "minut",
    "out",
    "overnight",
    "paid",
    "promis",
    "refund",
    "reject",
    "return",
    "sent",
    "ship",
    "sold",
    "soon",
    "stock",
    "today",
    "tomorrow",
    "tonight",
    "track",
    "voucher",
    "week",
    "yesterday",
    "gift",
    "compensat",
    "waiv",
    "apolog",
    "human",
    "phone",
    "call",
];

/// Names of the parts of the prompt: small models repeat it.
const LABELS: [&str; 2] = ["MESSAGE", "ANSWER"];

const NUMBER_WORDS: &[&str] = &[
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "twenty", "thirty", "forty", "fifty", "sixty", "hundred", "thousand", "dozen", "half", "couple", "few",
];

const CALENDAR: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "weekend",
    "christmas",
];

/// What the facts contain.
pub(super) struct Facts {
    numbers: HashSet<String>,
    words: HashSet<String>,
    denies: bool,
    length: usize,
    text: String,
}

impl Facts {
    pub fn of(text: &str) -> Self {
        Self {
            numbers: numbers(text).collect(),
            words: words(text).collect(),
            denies: words(text).any(|word| denies(&word)),
            length: text.chars().count(),
            text: text.to_lowercase(),
        }
    }

    /// Whether a sentence of the answer states nothing beyond the facts.
    pub fn allow(&self, sentence: &str) -> bool {
        !has_address(sentence)
            && !LABELS.iter().any(|label| sentence.contains(label))
            && numbers(sentence).all(|number| self.numbers.contains(&number))
            && words(sentence).all(|word| self.allows_word(&word))
            && names(sentence).all(|name| self.text.contains(&name))
            && quotations(sentence).all(|quoted| self.text.contains(&quoted.to_lowercase()))
    }

    /// Whether the whole answer may be given: its sentences are allowed, it is neither empty nor endless, and it denies
    /// something exactly when the facts do.
    pub fn allow_all(&self, answer: &str) -> bool {
        let length = answer.chars().count();
        (1..=LONGEST.min(self.length * 2 + 120)).contains(&length)
            && self.allow(answer)
            && words(answer).any(|word| denies(&word)) == self.denies
            // It is about the same thing at all.
            && words(answer).filter(|word| word.chars().count() > 4 && self.words.contains(word)).count() >= 2
    }

    fn allows_word(&self, word: &str) -> bool {
        let claim =
            CLAIMS.iter().find(|claim| if claim.len() <= 4 { *claim == &word } else { word.starts_with(*claim) });
        let bound = NUMBER_WORDS.contains(&word) || CALENDAR.contains(&word);
        match claim {
            Some(claim) => self.words.iter().any(|known| known.starts_with(claim)),
            None => !bound || self.words.contains(word),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase().replace('’', "'");
    let words: Vec<String> = lower
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

/// Every word with a digit, with the signs that belong to it: `$4.90`, `2026-11-28`, `BW-7K3M-92QV`.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    let pieces = text.split(|letter: char| letter.is_whitespace() || "()“”\"';:!?".contains(letter));
    let pieces = pieces.filter(|piece| piece.chars().any(char::is_numeric));
    pieces.map(|piece| piece.trim_matches(|letter: char| ".,-–*_".contains(letter)).to_uppercase())
}

/// Capitalised words within a sentence: names, which must come from the facts.
fn names(text: &str) -> impl Iterator<Item = String> {
    let mut names = Vec::new();
    let mut begins = true;
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        let capital = bare.chars().next().is_some_and(char::is_uppercase);
        if capital && !begins && !matches!(bare, "I" | "I'm" | "I’m" | "I'll" | "I’ll" | "I'd" | "I've" | "I’ve")
        {
            names.push(bare.to_lowercase());
        }
        begins = word.ends_with(['.', '!', '?', ':', '-', '•', '*']);
    }
    names.into_iter()
}

fn quotations(text: &str) -> impl Iterator<Item = &str> {
    let curly = text.split('“').skip(1).filter_map(|rest| rest.split('”').next());
    let straight = text.split('"').skip(1).step_by(2);
    curly.chain(straight).map(|quoted| quoted.trim_end_matches([',', '.', '!', '?']))
}

fn denies(word: &str) -> bool {
    matches!(word, "not" | "no" | "never" | "nothing" | "none" | "cannot" | "without" | "unable" | "neither")
        || word.ends_with("n't")
}

/// Links, addresses and markup: the model must add none.
fn has_address(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["http", "www.", "://", "](", "@", ".com", ".org", ".net", "<", ">", "[", "]", "{", "}", "`", "#"]
        .iter()
        .any(|sign| lower.contains(sign))
        || lower.split_whitespace().any(|word| word.trim_start_matches(['(', '"', '“']).starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACTS: &str = "Order BW-7K3M-92QV of 2026-11-20 (“Dune”) is confirmed and will be packed. You get a mail when the \
                         parcel is with the carrier. Express: $12.90, 1 to 2 working days.";

    #[test]
    fn the_same_in_other_words_is_allowed() {
        let facts = Facts::of(FACTS);
        for answer in [
            "Good news: order BW-7K3M-92QV (“Dune”) is confirmed and will be packed.",
            "Your order BW-7K3M-92QV is confirmed. We will send a mail when the parcel is with the carrier.",
            "Express costs $12.90 and takes 1 to 2 working days.",
        ] {
            assert!(facts.allow_all(answer), "{answer}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let facts = Facts::of(FACTS);
        for answer in [
            "",
            "Your order BW-7K3M-92QV is confirmed and will arrive tomorrow.",
            "Your order BW-7K3M-92QW is confirmed and will be packed.",
            "Express costs $11.90 and takes 1 to 2 working days.",
            "Express costs €12.90 and takes 1 to 2 working days.",
            "Express takes three working days.",
            "Your order was confirmed on 2026-11-21 and will be packed.",
            "Your order is confirmed and will be packed; you get a refund.",
            "Your order is not confirmed and will not be packed.",
            "Your order of “Emma” is confirmed and will be packed.",
            "Your order is confirmed and will be packed by Amazon.",
            "Your order is confirmed and packed. See https://evil.example",
            "Your order is confirmed and packed: /admin/orders",
            "Your order is confirmed and packed. Write to a@b.example",
            "I like cheese.",
            "MESSAGE:\nwhere is it?\n\nANSWER:\nYour order is confirmed and will be packed.",
        ] {
            assert!(!facts.allow_all(answer), "{answer}");
        }
        assert!(!facts.allow_all(&"Your order is confirmed and will be packed. ".repeat(40)));
    }

    proptest! {
        #[test]
        fn a_number_that_is_not_in_the_facts_is_never_allowed(number in 100_u32..1_000_000) {
            let answer = format!("Your order is confirmed and will be packed, {number} of them.");
            prop_assert!(!Facts::of(FACTS).allow_all(&answer));
        }

        #[test]
        fn nothing_makes_it_panic(facts: String, answer: String) {
            let _ = Facts::of(&facts).allow_all(&answer);
        }
    }
}
