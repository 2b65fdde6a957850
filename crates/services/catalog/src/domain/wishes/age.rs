//! "gift for 8 year old who likes dinosaurs", "books for 3 year olds", "ages 9-12".

use std::ops::Range;

use super::{Found, Wish, Word, is_books};

/// Words that say for whom a book is, and that it is a gift: they say nothing of it.
const FOR_WHOM: [&str; 70] = [
    "gift",
    "gifts",
    "present",
    "presents",
    "birthday",
    "christmas",
    "xmas",
    "idea",
    "ideas",
    "for",
    "a",
    "an",
    "my",
    "our",
    "the",
    "his",
    "her",
    "their",
    "good",
    "great",
    "suitable",
    "appropriate",
    "book",
    "books",
    "who",
    "that",
    "which",
    "likes",
    "like",
    "loves",
    "love",
    "liking",
    "enjoys",
    "enjoy",
    "is",
    "are",
    "into",
    "about",
    "interested",
    "in",
    "obsessed",
    "crazy",
    "mad",
    "with",
    "on",
    "of",
    "son",
    "daughter",
    "nephew",
    "niece",
    "grandson",
    "granddaughter",
    "grandchild",
    "brother",
    "sister",
    "cousin",
    "boy",
    "boys",
    "girl",
    "girls",
    "kid",
    "kids",
    "child",
    "children",
    "aged",
    "age",
    "ages",
    "reader",
    "readers",
    "to",
];

/// People by what they are called, and how old they are.
const PEOPLE: [(&str, u8, u8); 20] = [
    ("toddler", 1, 3),
    ("toddlers", 1, 3),
    ("baby", 0, 2),
    ("babies", 0, 2),
    ("preschool", 3, 5),
    ("preschooler", 3, 5),
    ("preschoolers", 3, 5),
    ("kindergarten", 5, 6),
    ("kindergartner", 5, 6),
    ("kindergartener", 5, 6),
    ("kindergarteners", 5, 6),
    ("tween", 9, 12),
    ("tweens", 9, 12),
    ("teen", 13, 17),
    ("teens", 13, 17),
    ("teenage", 13, 17),
    ("teenager", 13, 17),
    ("teenagers", 13, 17),
    ("kid", 5, 12),
    ("kids", 5, 12),
];

/// What is given.
const GIFTS: [&str; 6] = ["gift", "gifts", "present", "presents", "idea", "ideas"];

/// For whom: by years of age, or by what people are called, which is in many titles and so takes "books for" before it.
pub(super) fn age(words: &[Word], _: bool) -> Option<Found> {
    let (mut place, from, to) = (0..words.len())
        .find_map(|at| years(words, at))
        .or_else(|| (0..words.len()).find_map(|at| people(words, at)))?;
    // What stands around the age only says for whom. Further words are what the book is about.
    while place.start > 0 && says_for_whom(words, place.start - 1) {
        place.start -= 1;
    }
    while place.end < words.len() && says_for_whom(words, place.end) {
        place.end += 1;
    }
    Some((vec![place], Wish::Age(from, to)))
}

fn says_for_whom(words: &[Word], at: usize) -> bool {
    let word = words[at].folded.as_str();
    // "Christmas books" are about it.
    let is_occasion = matches!(word, "christmas" | "xmas" | "birthday");
    FOR_WHOM.contains(&word) && (!is_occasion || words.get(at + 1).is_some_and(is_gift))
}

fn is_gift(word: &Word) -> bool {
    GIFTS.contains(&word.folded.as_str())
}

/// "8 year old", "8 to 10 year olds", "age 8", "ages 9-12".
fn years(words: &[Word], at: usize) -> Option<(Range<usize>, u8, u8)> {
    let word = |place: usize| words.get(place).map(|word| word.folded.as_str());
    // "15 years" alone is how long ago somebody read it.
    let is_old = |place: usize| {
        let years = matches!(word(place), Some("year" | "years" | "yr" | "yrs"));
        let old = matches!(word(place + 1), Some("old" | "olds"));
        if years && old { Some(2) } else { matches!(word(place), Some("yo" | "yos")).then_some(1) }
    };
    let (from, to) = range(word(at)?)?;
    // "8 to 10 year olds"
    if let (Some("to" | "or" | "and"), Some((_, last))) = (word(at + 1), word(at + 2).and_then(range))
        && let Some(length) = is_old(at + 3)
        && from <= last
    {
        return is_for(words, at, at + 3 + length).then_some((at..at + 3 + length, from, last));
    }
    if let Some(length) = is_old(at + 1) {
        return is_for(words, at, at + 1 + length).then_some((at..at + 1 + length, from, to));
    }
    let name = word(at.checked_sub(1)?)?;
    if !matches!(name, "age" | "ages" | "aged") {
        return None;
    }
    if let (Some("to" | "and"), Some((_, last))) = (word(at + 1), word(at + 2).and_then(range)) {
        return Some((at - 1..at + 3, from, last.max(from)));
    }
    // "Ice Age 2", "Dragon Age 2"
    let begins = at == 1 || FOR_WHOM.contains(&words[at - 2].folded.as_str()) || is_books(&words[at - 2]);
    (name == "aged" || (name == "ages" && from < to) || begins).then_some((at - 1..at + 1, from, to))
}

/// Whether somebody so old is the reader, and not whom the book is about: "a 16 year old assassin".
fn is_for(words: &[Word], start: usize, end: usize) -> bool {
    let before = &words[..start];
    let last = before.iter().rev().find(|word| !matches!(word.folded.as_str(), "a" | "an" | "the"));
    let is_about = last.is_some_and(|word| {
        matches!(word.folded.as_str(), "about" | "with" | "of" | "where" | "when" | "in" | "by" | "featuring")
    });
    let is_given = before.iter().any(|word| word.folded == "for" || is_gift(word));
    let are_many = matches!(words[end - 1].folded.as_str(), "olds" | "yos");
    let are_books = || words.iter().any(|word| matches!(word.folded.as_str(), "book" | "books"));
    !is_about && (is_given || are_many || are_books())
}

/// `8`, `9-12`, `8yo`: years of age below 18.
fn range(text: &str) -> Option<(u8, u8)> {
    let text = text.strip_suffix("yo").unwrap_or(text);
    let (from, to) = text.split_once(['-', '–']).unwrap_or((text, text));
    let year = |text: &str| text.parse::<u8>().ok().filter(|year| *year < 18);
    let (from, to) = (year(from)?, year(to)?);
    (from <= to).then_some((from, to))
}

/// "books for toddlers", "gift for my teenage daughter": what is "for babies" alone is knitted.
fn people(words: &[Word], at: usize) -> Option<(Range<usize>, u8, u8)> {
    let (_, from, to) = PEOPLE.iter().find(|(name, ..)| *name == words[at].folded)?;
    let behind = words[at.saturating_sub(3)..at].iter().rposition(|word| word.folded == "for")?;
    let behind = at.saturating_sub(3) + behind;
    let between = words[behind..at].iter().all(|word| FOR_WHOM.contains(&word.folded.as_str()));
    let before = behind.checked_sub(1).map(|before| &words[before]);
    let are_books = before.is_none_or(|before| is_books(before) || is_gift(before));
    (between && are_books).then_some((at..at + 1, *from, *to))
}
