//! How names and titles are compared: without regard to case and diacritics, the same on every database.

use unicode_normalization::UnicodeNormalization;

/// The most characters of a title that decide its place in a list; equal beginnings are ordered by id.
const SORT_CHARS: usize = 100;

/// Lower case, without the diacritics of Latin, Greek and Cyrillic, with single spaces. Two names that fold to the same
/// text are the same name.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut space = false;
    for c in text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).flat_map(char::to_lowercase).nfkc() {
        if c.is_whitespace() || c.is_control() {
            space = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            folded.push(' ');
        }
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            '’' | 'ʼ' | '`' => folded.push('\''),
            c => folded.push(c),
        }
    }
    folded
}

/// What decides the place of a title, or of a name, in a list.
pub(crate) fn sort_key(text: &str) -> String {
    let folded = fold(text);
    match folded.char_indices().nth(SORT_CHARS) {
        Some((end, _)) => folded[..end].to_owned(),
        None => folded,
    }
}

/// The first key after every key that begins with `prefix`, for a range over bytes. `None` when there is none.
pub(crate) fn after_prefix(prefix: &str) -> Option<Vec<u8>> {
    let mut bytes = prefix.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

/// The folded words of a query. An apostrophe joins: `Ender's` is `enders`.
pub(crate) fn query_words(text: &str) -> Vec<String> {
    let folded: String = fold(text).chars().filter(|c| *c != '\'').collect();
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The folded words of a text that is searched, each between spaces. A word with an apostrophe is found joined and by
/// its parts: `l'étranger` by `letranger` and by `etranger`.
pub(crate) fn indexed_words<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = String::from(" ");
    for text in texts {
        let joined = query_words(text);
        for word in &joined {
            words.push_str(word);
            words.push(' ');
        }
        let folded = fold(text);
        if folded.contains('\'') {
            for part in folded.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() > 1) {
                if joined.iter().all(|word| word != part) {
                    words.push_str(part);
                    words.push(' ');
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folds_case_diacritics_and_spaces() {
        for (text, folded) in [
            ("  Émile   ZOLA ", "emile zola"),
            ("Straße", "strasse"),
            ("Stanisław Lem", "stanislaw lem"),
            ("Søren Kierkegaard", "soren kierkegaard"),
            ("Ἰλιάς", "ιλιας"),
            ("İstanbul", "istanbul"),
            ("三体", "三体"),
            ("ドラゴン", "ドラゴン"),
            ("C++", "c++"),
            ("Ender’s Game", "ender's game"),
            ("ﬁction", "fiction"),
            ("a\u{0}b\n", "a b"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn apostrophes_join_and_part() {
        assert_eq!(query_words("Ender's Game!"), ["enders", "game"]);
        assert_eq!(indexed_words(["L'Étranger", "Albert Camus"]), " letranger etranger albert camus ");
        assert_eq!(query_words("!!! - ?"), Vec::<String>::new());
    }

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(after_prefix("ab").as_deref(), Some(b"ac".as_slice()));
        assert_eq!(after_prefix(""), None);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "[ -\u{1fff}一-龥あ-んア-ン]{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn what_begins_with_a_prefix_lies_in_its_range(prefix in "[a-zé]{1,5}", rest in "\\PC{0,8}") {
            let text = format!("{prefix}{rest}");
            prop_assert!(text.as_bytes() >= prefix.as_bytes());
            prop_assert!(text.as_bytes() < after_prefix(&prefix).expect("letters have a successor").as_slice());
        }
    }
}
