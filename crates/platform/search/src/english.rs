//! What a stemmer cannot know of English: irregular forms, and which words there are.

use std::{collections::HashMap, sync::LazyLock};

use rust_stemmers::Stemmer;

use crate::{Language, analysis};

/// Stems of the English words, a line each, in the order of bytes.
const WORDS: &str = include_str!("../data/english.txt");

/// For each irregular form what it is a form of, and the other way round by the stem.
struct Irregular {
    lemmas: HashMap<&'static str, Vec<&'static str>>,
    forms: HashMap<String, Vec<&'static str>>,
}

static IRREGULAR: LazyLock<Irregular> = LazyLock::new(|| {
    let stemmer = Stemmer::create(Language::English);
    let mut known = Irregular { lemmas: HashMap::new(), forms: HashMap::new() };
    let lines = include_str!("../data/irregular.txt").lines().filter(|line| !line.starts_with('#'));
    for (form, lemma) in lines.filter_map(|line| line.split_once(' ')) {
        known.lemmas.entry(form).or_default().push(lemma);
        known.forms.entry(stemmer.stem(lemma).into_owned()).or_default().push(form);
    }
    known
});

/// The stems of a folded word: the stemmer's first, then those of what it is an irregular form of.
pub(crate) fn stems(stemmer: &Stemmer, language: Language, word: &str) -> Vec<String> {
    let mut stems = vec![stemmer.stem(word).into_owned()];
    if matches!(language, Language::English)
        && let Some(lemmas) = IRREGULAR.lemmas.get(word)
    {
        for lemma in lemmas {
            let stem = stemmer.stem(lemma).into_owned();
            if !stems.contains(&stem) {
                stems.push(stem);
            }
        }
    }
    stems.retain(|stem| !stem.is_empty());
    stems
}

/// The irregular forms of the English word with this stem.
pub(crate) fn irregular(stem: &str) -> &'static [&'static str] {
    IRREGULAR.forms.get(stem).map_or(&[], Vec::as_slice)
}

/// The adjectives and inhabitants of a place by its name, and places by those: `martian` of `mars`, and `mars` of
/// `martian`. The word is folded; nothing for what is no place.
#[must_use]
pub fn of_place(word: &str) -> &'static [&'static str] {
    static PLACES: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
        let mut places: HashMap<&'static str, Vec<&'static str>> = HashMap::new();
        let lines = include_str!("../data/places.txt").lines().filter(|line| !line.starts_with('#'));
        for (adjective, place) in lines.filter_map(|line| line.split_once(' ')) {
            places.entry(adjective).or_default().push(place);
            places.entry(place).or_default().push(adjective);
        }
        places
    });
    PLACES.get(word).map_or(&[], Vec::as_slice)
}

/// Whether every word of the text is an English one, in any form that the stemmer knows. Names are not.
///
/// The words are those of SCOWL up to level 55 ("Spell Checker Oriented Word Lists", Atkinson): what an educated reader
/// knows. Case and diacritics do not matter.
#[must_use]
pub fn is_english(text: &str) -> bool {
    let stemmer = Stemmer::create(Language::English);
    let words = analysis::words(text);
    !words.is_empty()
        && words.iter().all(|word| {
            word.forms.iter().any(|form| is_listed(&stemmer.stem(form)) || IRREGULAR.lemmas.contains_key(form.as_str()))
        })
}

/// By halves, in the text itself: no memory, no time at the start.
fn is_listed(stem: &str) -> bool {
    let bytes = WORDS.as_bytes();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let start = bytes[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
        let end = bytes[start..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| start + at);
        match bytes[start..end].cmp(stem.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_word_is_found_and_nothing_else() {
        assert!(WORDS.lines().all(is_listed));
        assert!(WORDS.lines().is_sorted());
        for word in ["mars", "stranded", "Whales", "potatoes", "mice", "went", "obsession", "café", "grows"] {
            assert!(is_english(word), "{word}");
        }
        for word in ["animl", "orwel", "poter", "sapiens", "hobit", "tolkein", "", "猫", "mars animl"] {
            assert!(!is_english(word), "{word}");
        }
    }

    #[test]
    fn irregular_forms_have_the_stems_of_their_words() {
        let stemmer = Stemmer::create(Language::English);
        for (form, word) in [
            ("wolves", "wolf"),
            ("children", "child"),
            ("mice", "mouse"),
            ("went", "go"),
            ("taught", "teach"),
            ("written", "write"),
            ("geese", "goose"),
            ("knives", "knife"),
            ("elves", "elf"),
            ("criteria", "criterion"),
        ] {
            let stem = stemmer.stem(word).into_owned();
            assert!(stems(&stemmer, Language::English, form).contains(&stem), "{form}");
            assert!(irregular(&stem).contains(&form), "{form}");
        }
        assert_eq!(of_place("mars"), ["martian"]);
        assert_eq!(of_place("trojan"), ["troy"]);
        assert!(of_place("sweden").contains(&"swedish") && of_place("whale").is_empty());
        assert_eq!(stems(&stemmer, Language::English, "rose"), ["rose"], "a flower");
        assert_eq!(stems(&Stemmer::create(Language::German), Language::German, "went").len(), 1);
    }
}
