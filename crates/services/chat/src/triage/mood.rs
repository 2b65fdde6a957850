//! The mood of a message's writer, from its words. Explainable on purpose: the words that decided are part of the
//! result.

use std::{collections::HashMap, sync::LazyLock};

const WORDS: &str = include_str!("../../data/sentiment.tsv");
/// At this score and below the writer counts as upset: two strong words, or one in capitals with exclamation marks.
const UPSET: f32 = -4.0;
/// How many words before a weighted word a negation may stand.
const REACH: usize = 3;
/// The factor of a negation: "not good" is negative, but less than "bad".
const NEGATED: f32 = -0.6;
/// The factor of "very" or capitals.
const STRONGER: f32 = 1.5;

static WEIGHTS: LazyLock<HashMap<&'static str, f32>> = LazyLock::new(|| {
    let lines = WORDS.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(word, weight)| Some((word, weight.parse().ok()?)))
        .collect()
});

/// A mood, and the words that decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mood {
    /// Below 0 negative, above 0 positive; beyond 4 strongly so.
    pub score: f32,
    /// The words that decided.
    pub because: Vec<String>,
}

impl Mood {
    /// The mood of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '\'' | '’'))
            .filter(|word| !word.is_empty())
            .collect();
        let mut mood = Self::default();
        for (at, word) in words.iter().enumerate() {
            let Some(weight) = WEIGHTS.get(word.to_lowercase().as_str()) else { continue };
            let mut weight = *weight;
            let before: Vec<String> =
                words[at.saturating_sub(REACH)..at].iter().map(|word| word.to_lowercase()).collect();
            if before.last().is_some_and(|word| strengthens(word)) || is_shouted(word) {
                weight *= STRONGER;
            }
            if before.iter().any(|word| negates(word)) {
                weight *= NEGATED;
            }
            mood.score += weight;
            mood.because.push(word.to_lowercase());
        }
        let exclamations = text.matches('!').count().min(4) as f32;
        mood.score *= 1.0 + 0.1 * exclamations;
        mood
    }

    /// Whether the writer counts as upset: a person should answer.
    #[must_use]
    pub fn is_upset(&self) -> bool {
        self.score <= UPSET
    }
}

fn strengthens(word: &str) -> bool {
    matches!(
        word,
        "very" | "so" | "really" | "extremely" | "absolutely" | "totally" | "utterly" | "completely" | "such"
    )
}

fn negates(word: &str) -> bool {
    matches!(word, "not" | "no" | "never" | "without" | "hardly" | "cannot" | "dont" | "doesnt" | "isnt" | "wasnt")
        || word.ends_with("n't")
        || word.ends_with("n’t")
}

fn is_shouted(word: &str) -> bool {
    word.len() >= 3 && word.chars().all(char::is_uppercase)
}

/// Whether the text asks for a person in so many words.
#[must_use]
pub fn wants_a_person(text: &str) -> bool {
    const PERSONS: [&str; 12] = [
        "human",
        "person",
        "agent",
        "operator",
        "representative",
        "somebody",
        "someone",
        "employee",
        "staff",
        "colleague",
        "manager",
        "supervisor",
    ];
    const ASKING: [&str; 14] = [
        "speak", "talk", "chat", "connect", "transfer", "real", "live", "get", "want", "need", "give", "please", "let",
        "put",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|letter: char| !letter.is_alphanumeric() && letter != '\'').collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    // A longer text is about something; "a person with a red coat" is none of ours.
    words.len() <= 12 && has(&PERSONS) && (has(&ASKING) || words.len() <= 2) && !words.iter().any(|word| negates(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_upset_is_recognised() {
        for text in [
            "You are liars and thieves",
            "This is the worst shop ever, I am furious",
            "ABSOLUTELY DISGUSTING!",
            "terrible, terrible service",
            "I hate you, useless idiots!!!",
        ] {
            assert!(Mood::of(text).is_upset(), "{text}: {:?}", Mood::of(text));
        }
    }

    #[test]
    fn others_are_not() {
        for text in [
            "where is my order?",
            "my parcel is late and the book is damaged",
            "I need help to open a fucking account",
            "not bad at all!",
            "I am looking for a book called The Worst Journey in the World",
            "thanks, this is great",
            "how to change my goddamn delivery address",
        ] {
            assert!(!Mood::of(text).is_upset(), "{text}: {:?}", Mood::of(text));
        }
    }

    #[test]
    fn negation_capitals_and_exclamation_marks_count() {
        let score = |text: &str| Mood::of(text).score;
        assert!(score("not good") < 0.0 && score("good") > 0.0);
        assert!(score("TERRIBLE service") < score("terrible service"));
        assert!(score("terrible!!!") < score("terrible"));
        assert!(score("very bad") < score("bad"));
        assert_eq!(Mood::of("a terrible mess").because, ["terrible", "mess"]);
    }

    #[test]
    fn a_wish_for_a_person_is_seen() {
        for text in ["human please", "agent", "let me talk to someone", "I want a real person", "get me your manager"] {
            assert!(wants_a_person(text), "{text}");
        }
        for text in [
            "I don't want to talk to a person",
            "a novel about a person who loses everything and travels through the whole of Siberia alone",
            "where is my order",
        ] {
            assert!(!wants_a_person(text), "{text}");
        }
    }
}
