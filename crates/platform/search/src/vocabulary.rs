//! The words that misspellings are compared with.
//!
//! Every word of the fuzzy fields, with the number of documents' fields it stands in. A word's neighbours are found by
//! looking at all words: a set of letters and a length rule out nearly all in a nanosecond each, the rest is measured.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{limits::EXPANSIONS, lock::lock};

/// Words shorter than this are not tolerated to be misspelt.
const SHORTEST: usize = 3;
/// Words longer than this neither.
const LONGEST: usize = 32;

/// Letters of the shortest word that is taken apart.
const JOINED: usize = 5;
/// Parts at most.
const PARTS: usize = 4;
/// Ways that are tried.
const WAYS: usize = 8;
/// What a missing blank costs, beside the edits.
const PARTED: f32 = 0.3;

#[derive(Default)]
pub(crate) struct Vocabulary {
    numbers: HashMap<Box<str>, u32>,
    words: Vec<Entry>,
    /// The words that may be misspelt, by their length in characters.
    by_length: Vec<Shapes>,
    /// What was found like a word, as long as no word comes or goes: who turns a page, chooses a facet or is asked "did
    /// you mean" asks for the same again.
    looked_up: Mutex<HashMap<Box<str>, Arc<[Alike]>>>,
}

/// How many words' neighbours are cached before all are dropped.
const CACHED: usize = 1_024;

/// Words of one length: what most of them are ruled out by lies close together.
#[derive(Default)]
struct Shapes {
    letters: Vec<u32>,
    numbers: Vec<u32>,
}

/// So many words are looked at together.
const TOGETHER: usize = 64;

struct Entry {
    /// In how many documents, summed over the fuzzy fields.
    count: u32,
    word: Box<str>,
}

/// A word like another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alike {
    pub word: String,
    /// Edits.
    pub distance: u8,
    /// Edits weighed by how easily they happen.
    pub cost: f32,
    pub count: u32,
}

/// Which letters occur; 26 for a-z, the others share 6 bits.
fn letters(word: &[char]) -> u32 {
    word.iter().fold(0, |set, c| {
        set | match c {
            'a'..='z' => 1 << (u32::from(*c) - u32::from('a')),
            other => 1 << (26 + u32::from(*other) % 6),
        }
    })
}

/// How many edits a word of so many letters may be off.
pub(crate) fn tolerance(length: usize) -> u8 {
    match length {
        0..SHORTEST => 0,
        SHORTEST..=4 => 1,
        _ => 2,
    }
}

impl Vocabulary {
    /// The word's number; a new one gets a new number.
    pub(crate) fn intern(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).expect("memory holds fewer words than a u32 counts");
        let chars: Vec<char> = word.chars().collect();
        self.numbers.insert(word.into(), number);
        self.words.push(Entry { count: 0, word: word.into() });
        if chars.len() <= LONGEST {
            self.by_length.resize_with(self.by_length.len().max(chars.len() + 1), Shapes::default);
            let shapes = &mut self.by_length[chars.len()];
            shapes.letters.push(letters(&chars));
            shapes.numbers.push(number);
        }
        number
    }

    pub(crate) fn add(&mut self, number: u32, count: u32) {
        self.forget();
        self.words[number as usize].count += count;
    }

    pub(crate) fn subtract(&mut self, number: u32, count: u32) {
        self.forget();
        let entry = &mut self.words[number as usize];
        entry.count = entry.count.saturating_sub(count);
    }

    /// In how many documents, summed over the fuzzy fields.
    pub(crate) fn count(&self, word: &str) -> u32 {
        self.numbers.get(word).map_or(0, |number| self.words[*number as usize].count)
    }

    pub(crate) fn len(&self) -> usize {
        self.words.iter().filter(|entry| entry.count > 0).count()
    }

    fn forget(&mut self) {
        self.looked_up.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Words like this one, at most [`EXPANSIONS`], the likeliest first: fewer edits, then cheaper ones, then commoner
    /// words. The word itself is not among them.
    pub(crate) fn alike(&self, word: &str) -> Arc<[Alike]> {
        if let Some(found) = lock(&self.looked_up).get(word) {
            return Arc::clone(found);
        }
        let found: Arc<[Alike]> = self.look_up(word, EXPANSIONS).into();
        let mut looked_up = lock(&self.looked_up);
        if looked_up.len() >= CACHED {
            looked_up.clear();
        }
        looked_up.insert(word.into(), Arc::clone(&found));
        found
    }

    /// The ways to write this word as several that are known, the fewest first.
    pub(crate) fn parts(&self, word: &str) -> Vec<Vec<String>> {
        let mut ways = Vec::new();
        if (JOINED..=LONGEST).contains(&word.chars().count()) {
            for most in 2..=PARTS {
                self.part(word, most, &mut Vec::new(), &mut ways);
            }
        }
        ways.truncate(WAYS);
        ways
    }

    /// Two words that a misspelt one may be, written together: one of them is known, the other is spelt alike.
    pub(crate) fn nearly_parts(&self, word: &str) -> Vec<Alike> {
        let mut found = Vec::new();
        if !(JOINED..=LONGEST).contains(&word.chars().count()) {
            return found;
        }
        for (at, _) in word.char_indices().skip(2) {
            let (first, second) = word.split_at(at);
            let alike = |part: &str| self.alike(part).iter().take(WAYS).filter(|a| a.distance == 1).cloned().collect();
            let firsts: Vec<Alike> = if self.is_part(second) { alike(first) } else { Vec::new() };
            let seconds: Vec<Alike> = if self.is_part(first) { alike(second) } else { Vec::new() };
            let texts = firsts.into_iter().map(|other| (format!("{} {second}", other.word), other));
            let texts = texts.chain(seconds.into_iter().map(|other| (format!("{first} {}", other.word), other)));
            found.extend(texts.map(|(word, other)| Alike { word, cost: other.cost + PARTED, ..other }));
        }
        found
    }

    /// Adds the ways to write the rest of a word in exactly so many parts.
    fn part<'a>(&self, rest: &'a str, parts: usize, before: &mut Vec<&'a str>, ways: &mut Vec<Vec<String>>) {
        if ways.len() >= WAYS {
            return;
        }
        if parts == 1 {
            if self.is_part(rest) {
                ways.push(before.iter().copied().chain([rest]).map(str::to_owned).collect());
            }
            return;
        }
        for (at, _) in rest.char_indices().skip(1) {
            let (first, others) = rest.split_at(at);
            if self.is_part(first) {
                before.push(first);
                self.part(others, parts - 1, before, ways);
                before.pop();
            }
        }
    }

    fn is_part(&self, part: &str) -> bool {
        part.chars().nth(1).is_some() && self.count(part) > 0
    }

    fn look_up(&self, word: &str, limit: usize) -> Vec<Alike> {
        let chars: Vec<char> = word.chars().collect();
        let most = tolerance(chars.len());
        if most == 0 || chars.len() > LONGEST || chars.iter().all(|c| c.is_numeric()) {
            return Vec::new();
        }
        let set = letters(&chars);
        let mut found = Vec::new();
        let mut other: Vec<char> = Vec::with_capacity(LONGEST);
        let edits = usize::from(most);
        let lengths = self.by_length.iter().enumerate().take(chars.len() + edits + 1);
        for (length, shapes) in lengths.skip(chars.len().saturating_sub(edits)) {
            for number in shapes.near(set, Edits::between(chars.len(), length, edits)) {
                let entry = &self.words[number as usize];
                if entry.count == 0 {
                    continue;
                }
                other.clear();
                other.extend(entry.word.chars());
                // A short word is not the result of two edits.
                let allowed = most.min(tolerance(other.len()).max(1));
                let Some(distance) = distance(&chars, &other, allowed) else { continue };
                if distance > 0 {
                    found.push((entry, distance, cost(&chars, &other)));
                }
            }
        }
        let worth = |entry: &Entry, cost: f32| {
            #[allow(clippy::cast_precision_loss, reason = "a weight")]
            let common = (entry.count as f32).ln_1p();
            cost - 0.06 * common
        };
        found
            .sort_unstable_by(|a, b| worth(a.0, a.2).total_cmp(&worth(b.0, b.2)).then_with(|| a.0.word.cmp(&b.0.word)));
        found.truncate(limit);
        found
            .into_iter()
            .map(|(entry, distance, cost)| Alike { word: entry.word.to_string(), distance, cost, count: entry.count })
            .collect()
    }
}

/// How many letters may differ between two words of certain lengths.
#[derive(Clone, Copy)]
struct Edits {
    /// Letters of the first that the second has not: each is changed or taken out.
    lost: u8,
    /// Letters of the second that the first has not: each is changed or put in.
    gained: u8,
}

impl Edits {
    #[allow(clippy::cast_possible_truncation, reason = "at most two")]
    fn between(first: usize, second: usize, edits: usize) -> Self {
        // What makes the word longer takes no letter out, and the other way round.
        let lost = edits - second.saturating_sub(first).min(edits);
        let gained = edits - first.saturating_sub(second).min(edits);
        Self { lost: lost as u8, gained: gained as u8 }
    }
}

/// Up to two bits, as masks, one of them full: for a processor that counts bits slowly.
#[derive(Clone, Copy)]
struct AtMost([u32; 3]);

impl AtMost {
    fn new(bits: u8) -> Self {
        Self([0, 1, 2].map(|allowed| if allowed == bits.min(2) { u32::MAX } else { 0 }))
    }

    /// What is left of the set without so many bits.
    fn beyond(self, set: u32) -> u32 {
        let without_one = set & set.wrapping_sub(1);
        let without_two = without_one & without_one.wrapping_sub(1);
        (set & self.0[0]) | (without_one & self.0[1]) | (without_two & self.0[2])
    }
}

impl Shapes {
    /// Numbers of the words whose letters these may become by such edits.
    fn near(&self, set: u32, edits: Edits) -> impl Iterator<Item = u32> + '_ {
        let (lost, gained) = (AtMost::new(edits.lost), AtMost::new(edits.gained));
        let chunks = self.letters.chunks(TOGETHER).zip(self.numbers.chunks(TOGETHER));
        chunks.flat_map(move |(letters, numbers)| {
            // Without a branch, so that the compiler judges several words at once.
            let mut too_many = [0; TOGETHER];
            for (too_many, letters) in too_many.iter_mut().zip(letters) {
                *too_many = lost.beyond(set & !letters) | gained.beyond(letters & !set);
            }
            too_many.into_iter().zip(numbers).filter(|(too_many, _)| *too_many == 0).map(|(_, number)| *number)
        })
    }
}

/// The restricted Damerau-Levenshtein distance (optimal string alignment: insertions, deletions, substitutions,
/// transpositions of neighbours), when it is at most `most`.
fn distance(a: &[char], b: &[char], most: u8) -> Option<u8> {
    let most = usize::from(most);
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let width = b.len() + 1;
    let mut rows = [[0_usize; LONGEST + 4]; 3];
    if width > rows[0].len() {
        return None;
    }
    for (column, cell) in rows[0].iter_mut().enumerate().take(width) {
        *cell = column;
    }
    for i in 1..=a.len() {
        let (before_last, last, now) = ((i + 1) % 3, (i + 2) % 3, i % 3);
        rows[now][0] = i;
        let mut smallest = i;
        for j in 1..=b.len() {
            let substitution = rows[last][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(rows[last][j] + 1).min(rows[now][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[before_last][j - 2] + 1);
            }
            rows[now][j] = best;
            smallest = smallest.min(best);
        }
        if smallest > most {
            return None;
        }
    }
    let distance = rows[a.len() % 3][b.len()];
    (distance <= most).then(|| u8::try_from(distance).expect("at most two"))
}

/// Whether a folded word may be another one, misspelt: so many edits off as [`Fuzziness`](crate::Fuzziness) tolerates.
#[must_use]
pub fn is_like(word: &str, other: &str) -> bool {
    let (word, other): (Vec<char>, Vec<char>) = (word.chars().collect(), other.chars().collect());
    let allowed = tolerance(word.len()).min(tolerance(other.len()));
    word == other || (word.len() <= LONGEST && distance(&word, &other, allowed).is_some())
}

/// Whether a folded name may be another one, heard or typed with a slip: both begin alike, and the edits are cheap (two
/// doubled letters, two vowels, a letter that sounds alike; of three letters, less). Spellings of one sound are the same
/// (`heard`). Unlike [`is_like`] it is for words that may both be right.
#[must_use]
pub fn is_nearly(word: &str, other: &str) -> bool {
    is_heard_alike(word, other, 1.6)
}

/// As [`is_nearly`], with one slip at most: for a word that stands alone.
#[must_use]
pub fn is_hardly_another(word: &str, other: &str) -> bool {
    is_heard_alike(word, other, 0.8)
}

fn is_heard_alike(word: &str, other: &str, most: f32) -> bool {
    let (word, other) = (heard(word), heard(other));
    let shorter = word.len().min(other.len());
    let most = if shorter > SHORTEST { most } else { most.min(1.0) };
    let begin_alike = match (word.first(), other.first()) {
        (Some(a), Some(b)) => a == b || sounds_alike(*a, *b),
        _ => false,
    };
    let fits = shorter >= SHORTEST && word.len().max(other.len()) <= LONGEST;
    word == other || (fits && begin_alike && cost(&word, &other) <= most)
}

/// A folded word with one spelling for each sound: `ph` as `f`, `x` as `ks`, `c` before a light vowel as `s`, `ck` as `k`,
/// `ch` as `c`, `igh` as `i`; silent letters at the beginning go (`kn`, `wr`, `rh`, `wh`), and `ie`, `ey` and `ye` at the end are `y`.
fn heard(word: &str) -> Vec<char> {
    let mut heard = word.replace("ph", "f").replace('x', "ks").replace("ck", "k");
    for (written, sound) in [("ce", "se"), ("ci", "si"), ("cy", "sy"), ("ch", "c"), ("igh", "i")] {
        heard = heard.replace(written, sound);
    }
    for (written, sound) in [("kn", "n"), ("wr", "r"), ("rh", "r"), ("wh", "w")] {
        if let Some(rest) = heard.strip_prefix(written) {
            heard = format!("{sound}{rest}");
        }
    }
    if let Some(begin) = ["ie", "ey", "ye"].iter().find_map(|end| heard.strip_suffix(end)) {
        heard = format!("{begin}y");
    }
    heard.chars().take(LONGEST + 1).collect()
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

/// Letters that sound alike in many European spellings.
fn sounds_alike(a: char, b: char) -> bool {
    let pair = |x, y| (a == x && b == y) || (a == y && b == x);
    (is_vowel(a) && is_vowel(b))
        || pair('c', 'k')
        || pair('c', 's')
        || pair('s', 'z')
        || pair('f', 'v')
        || pair('g', 'j')
        || pair('k', 'q')
        || pair('m', 'n')
        || pair('d', 't')
        || pair('b', 'p')
        || pair('v', 'w')
        || pair('i', 'j')
}

/// The same distance with cheaper edits where people slip: doubled letters 0.5, vowels and letters that sound alike
/// 0.7, transpositions 0.8; 0.3 more when the first letter differs.
fn cost(a: &[char], b: &[char]) -> f32 {
    let mut rows = [[0.0_f32; LONGEST + 4]; 3];
    let gap = |word: &[char], at: usize| {
        let c = word[at];
        if (at > 0 && word[at - 1] == c) || word.get(at + 1) == Some(&c) {
            0.5
        } else if is_vowel(c) || c == 'h' {
            0.8
        } else {
            1.0
        }
    };
    for j in 1..=b.len() {
        rows[0][j] = rows[0][j - 1] + gap(b, j - 1);
    }
    for i in 1..=a.len() {
        let (before_last, last, now) = ((i + 1) % 3, (i + 2) % 3, i % 3);
        rows[now][0] = if i == 1 { gap(a, 0) } else { rows[last][0] + gap(a, i - 1) };
        for j in 1..=b.len() {
            let (x, y) = (a[i - 1], b[j - 1]);
            let change = if x == y {
                0.0
            } else if sounds_alike(x, y) {
                0.7
            } else {
                1.0
            };
            let mut best =
                (rows[last][j - 1] + change).min(rows[last][j] + gap(a, i - 1)).min(rows[now][j - 1] + gap(b, j - 1));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[before_last][j - 2] + 0.8);
            }
            rows[now][j] = best;
        }
    }
    rows[a.len() % 3][b.len()] + if a.first() == b.first() { 0.0 } else { 0.3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(a: &str, b: &str) -> Option<u8> {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), 2)
    }

    #[test]
    fn what_is_ruled_out_early_is_not_alike() {
        let mut vocabulary = Vocabulary::default();
        let mut state = 11_u32;
        let mut words: Vec<String> = (0..600)
            .map(|_| {
                let mut next = |most: u32| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) % most
                };
                let length = 3 + next(6);
                (0..length).map(|_| ['a', 'b', 'c', 'd', 'é', 'ж'][next(6) as usize]).collect()
            })
            .collect();
        words.sort();
        words.dedup();
        for word in &words {
            let number = vocabulary.intern(word);
            vocabulary.add(number, 1);
        }
        let mut all = 0;
        for word in words.iter().step_by(5) {
            let chars: Vec<char> = word.chars().collect();
            let mut found: Vec<String> =
                vocabulary.look_up(word, usize::MAX).into_iter().map(|alike| alike.word).collect();
            found.sort();
            let alike = |other: &&String| {
                let other: Vec<char> = other.chars().collect();
                let allowed = tolerance(chars.len()).min(tolerance(other.len()).max(1));
                distance(&chars, &other, allowed).is_some_and(|distance| distance > 0)
            };
            let expected: Vec<&String> = words.iter().filter(alike).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{word}");
            all += found.len();
        }
        assert!(all > 200, "{all}");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(off("tolkein", "tolkien"), Some(1));
        assert_eq!(off("hobit", "hobbit"), Some(1));
        assert_eq!(off("obbit", "hobbit"), Some(1));
        assert_eq!(off("neuromancer", "neuromancer"), Some(0));
        assert_eq!(off("harry", "hairy"), Some(1));
        assert_eq!(off("abcd", "badc"), Some(2));
        assert_eq!(off("abcdef", "uvwxyz"), None);
    }

    #[test]
    fn names_that_sound_alike_are_nearly_the_same() {
        for (word, other) in [
            ("wolf", "woolf"),
            ("carol", "carroll"),
            ("steven", "stephen"),
            ("stephan", "stephen"),
            ("jon", "john"),
            ("smyth", "smith"),
            ("bront", "bronte"),
            ("ann", "anne"),
            ("hardie", "hardy"),
            ("wolfe", "woolf"),
            ("sax", "sacks"),
            ("fare", "fair"),
            ("cristy", "christie"),
            ("hary", "harry"),
            ("poter", "potter"),
            ("karl", "carl"),
            ("rhy", "rye"),
            ("rie", "rye"),
            ("cemetery", "sematary"),
            ("rite", "write"),
            ("night", "knight"),
            ("nite", "night"),
            ("rolling", "rowling"),
            ("king", "king"),
        ] {
            assert!(is_nearly(word, other) && is_nearly(other, word), "{word} {other}");
        }
        for (word, other) in [("shinning", "shining"), ("alchemest", "alchemist"), ("hobit", "hobbit")] {
            assert!(is_hardly_another(word, other), "{word} {other}");
        }
        for (word, other) in [("sand", "stand"), ("witness", "wilderness"), ("rolling", "rowling")] {
            assert!(!is_hardly_another(word, other), "{word} {other}");
        }
        for (word, other) in
            [("watson", "watts"), ("potter", "pound"), ("king", "ring"), ("po", "poe"), ("farm", "fair")]
        {
            assert!(!is_nearly(word, other), "{word} {other}");
        }
    }

    #[test]
    fn the_likeliest_word_comes_first() {
        let mut vocabulary = Vocabulary::default();
        for (word, count) in [("tolkien", 100), ("tolken", 1), ("talking", 40), ("taken", 300)] {
            let number = vocabulary.intern(word);
            vocabulary.add(number, count);
        }
        let alike = vocabulary.alike("tolkein");
        assert_eq!(alike[0].word, "tolkien");
        assert!(alike.iter().all(|alike| alike.word != "taken"), "three edits are too many");
        let number = vocabulary.intern("tolkien");
        vocabulary.subtract(number, 100);
        assert_eq!(vocabulary.alike("tolkein")[0].word, "tolken", "a word that is gone is not proposed");
    }
}
