//! "gift for 8 year old who likes dinosaurs", "books for 3 year olds", "ages 9-12".

use std::ops::Range;

use super::{Found, Wish, Word};

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

/// For whom: years of age anywhere; people by what they are called only behind "for", for they are in many titles.
pub(super) fn age(words: &[Word]) -> Option<Found> {
    let (place, from, to) = (0..words.len())
        .find_map(|at| years(words, at))
        .or_else(|| (0..words.len()).find_map(|at| people(words, at)))?;
    let mut places = vec![place];
    // What stands around the age only says for whom. Further words are what the book is about.
    places.extend((0..words.len()).filter(|at| FOR_WHOM.contains(&words[*at].folded.as_str())).map(|at| at..at + 1));
    Some((places, Wish::Age(from, to)))
}

/// "8 year old", "8 to 10 year olds", "age 8", "ages 9-12", "second grader".
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
        return Some((at..at + 3 + length, from, last));
    }
    if let Some(length) = is_old(at + 1) {
        return Some((at..at + 1 + length, from, to));
    }
    if at > 0 && matches!(word(at - 1), Some("age" | "ages" | "aged")) {
        if let (Some("to" | "and"), Some((_, last))) = (word(at + 1), word(at + 2).and_then(range)) {
            return Some((at - 1..at + 3, from, last.max(from)));
        }
        return Some((at - 1..at + 1, from, to));
    }
    None
}

/// `8`, `9-12`, `8yo`: years of age below 18.
fn range(text: &str) -> Option<(u8, u8)> {
    let text = text.strip_suffix("yo").unwrap_or(text);
    let (from, to) = text.split_once(['-', '–']).unwrap_or((text, text));
    let year = |text: &str| text.parse::<u8>().ok().filter(|year| *year < 18);
    let (from, to) = (year(from)?, year(to)?);
    (from <= to).then_some((from, to))
}

/// "for toddlers", "for my teenage daughter".
fn people(words: &[Word], at: usize) -> Option<(Range<usize>, u8, u8)> {
    let (_, from, to) = PEOPLE.iter().find(|(name, ..)| *name == words[at].folded)?;
    let behind = words[at.saturating_sub(3)..at].iter().any(|word| word.folded == "for");
    behind.then_some((at..at + 1, *from, *to))
}
