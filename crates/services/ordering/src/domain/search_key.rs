//! Under which words an order is found.
//!
//! A key is a word in lower case without accents, written as the hexadecimal digits of its UTF-8: so the words that begin
//! with some letters are one range of an index, whatever collation the database has.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::number::OrderNumber;

/// Characters of a word that count. Longer ones are found by their beginning.
const LONGEST: usize = 64;
/// Words of a name, or of a search, that count.
const MOST: usize = 12;

/// The keys of an order: each word of the name on the parcel, whole and in its parts, the email address and the number.
pub(crate) fn keys(number: &str, email: &str, name: &str) -> BTreeSet<String> {
    let mut words: BTreeSet<String> = [compact(number), folded(email)].into();
    for word in folded(name).split_whitespace().take(MOST) {
        // "O'Brien" is found as obrien, o'brien and brien; "Anne-Marie" as marie, too.
        words.insert(word.chars().filter(|c| c.is_alphanumeric()).collect());
        words.insert(word.to_owned());
        words.extend(word.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
    }
    words.iter().filter(|word| !word.is_empty()).map(|word| key(word)).collect()
}

/// What somebody looks for: an order is meant when its keys hold the number, or else every word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The beginning of a number.
    pub number: Option<Range>,
    /// Beginnings of words; never empty.
    pub words: Vec<Range>,
}

/// Keys from the first one up to the second one, which is not part of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range(pub String, pub String);

impl Range {
    fn beginning(word: &str) -> Self {
        let from = key(word);
        // Behind every hexadecimal digit.
        let to = format!("{from}g");
        Self(from, to)
    }
}

/// Reads what somebody looks for. A text without any word looks for what is not there.
pub(crate) fn wanted(text: &str) -> Wanted {
    let number = OrderNumber::beginning(text).map(|number| Range::beginning(&compact(&number)));
    let folded = folded(text);
    let mut words: Vec<Range> = folded.split_whitespace().take(MOST).map(Range::beginning).collect();
    if words.is_empty() {
        words.push(Range::beginning(" "));
    }
    Wanted { number, words }
}

fn compact(number: &str) -> String {
    folded(number).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Lower case, without accents, with one kind of apostrophe, hyphen and blank.
fn folded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            '’' | '‘' | 'ʼ' | '`' | '´' => plain.push('\''),
            '‐' | '‑' | '–' | '—' => plain.push('-'),
            // Invisible ones, such as the soft hyphen, are not typed when the name is looked for.
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' => plain.push('d'),
            'ı' => plain.push('i'),
            other => plain.push(other),
        }
    }
    plain.nfc().collect()
}

fn key(word: &str) -> String {
    use std::fmt::Write as _;
    let mut key = String::new();
    for byte in word.chars().take(LONGEST).collect::<String>().bytes() {
        write!(key, "{byte:02x}").expect("writing to a string cannot fail");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(search: &str, name: &str) -> bool {
        let keys = keys("BW-7K3M-92QX", "ada@example.org", name);
        let holds = |range: &Range| keys.iter().any(|key| *key >= range.0 && *key < range.1);
        let wanted = wanted(search);
        wanted.number.as_ref().is_some_and(holds) || wanted.words.iter().all(holds)
    }

    #[test]
    fn a_name_is_found_by_the_beginning_of_each_of_its_words() {
        for (search, name) in [
            ("ada", "Ada Lovelace"),
            ("LOVE", "Ada Lovelace"),
            ("lovelace ada", "Ada Lovelace"),
            ("ada love", "Ada  Lovelace"),
            ("obrien", "Flann O’Brien"),
            ("o'brien", "Flann O’Brien"),
            ("O’Br", "Flann O'Brien"),
            ("brien", "Flann O'Brien"),
            ("marie", "Anne-Marie Duff"),
            ("anne-m", "Anne‑Marie Duff"),
            ("jose", "José Saramago"),
            ("JOSÉ", "Jose\u{301} Saramago"),
            ("kierkegard", "Søren Kierkegård"),
            ("soren", "Søren Kierkegaard"),
            ("wałęsa", "Lech Wałęsa"),
            ("strauss", "Richard Strauß"),
            ("STRAUSS", "Richard Strauß"),
            ("walesa", "Lech Wałęsa"),
            ("толст", "Лев Толстой"),
            ("山田", "山田太郎"),
            ("ada@exam", "Ada"),
            ("bw-7k3m", "Ada"),
            ("BW 7K3M 92QX", "Ada"),
            ("7k3m92", "Ada"),
        ] {
            assert!(finds(search, name), "{search} finds {name}");
        }
        for (search, name) in [
            ("lace", "Ada Lovelace"),
            ("ada byron", "Ada Lovelace"),
            ("%", "Ada Lovelace"),
            ("_da", "Ada Lovelace"),
            ("\u{200b}", "Ada Lovelace"),
            ("example.org", "Ada"),
            ("BW-9", "Ada"),
        ] {
            assert!(!finds(search, name), "{search} does not find {name}");
        }
    }

    #[test]
    fn a_name_of_any_length_makes_few_keys() {
        assert!(
            keys("BW-7K3M-92QX", "ada@example.org", &"a-".repeat(5_000)).iter().all(|key| key.len() <= 4 * 2 * LONGEST)
        );
        assert!(keys("BW-7K3M-92QX", "ada@example.org", &"ab ".repeat(5_000)).len() <= 3 * MOST + 2);
    }
}
