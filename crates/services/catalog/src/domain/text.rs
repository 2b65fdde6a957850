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

/// What decides the place of a title in a list: without an article of its language and without leading punctuation.
/// *The Zebra* stands under Z, *L'Étranger* under E. A title that is nothing else keeps what it has.
pub(crate) fn title_key(title: &str, language: Option<&str>) -> String {
    let folded = fold(title);
    let bare = folded.trim_start_matches(|c: char| !c.is_alphanumeric());
    let bare = if bare.is_empty() { folded.as_str() } else { bare };
    let language = language.and_then(|code| code.split('-').next()).unwrap_or("en");
    let articles = ARTICLES.iter().find(|(codes, _)| codes.contains(&language)).map_or(&[][..], |(_, list)| list);
    let article = articles.iter().filter(|article| bare.starts_with(**article)).max_by_key(|article| article.len());
    let rest = article.map(|article| bare[article.len()..].trim_start_matches(|c: char| !c.is_alphanumeric()));
    // "A Is for Alibi", "A to Z": a letter is no article.
    let is_letter = |rest: &str| ["is ", "to ", "and ", "for "].iter().any(|next| rest.starts_with(next));
    sort_key(rest.filter(|rest| !rest.is_empty() && !is_letter(rest)).unwrap_or(bare))
}

/// Articles by the codes of their languages, folded, each with what follows it.
const ARTICLES: [(&[&str], &[&str]); 13] = [
    (&["en", "sco"], &["the ", "a ", "an "]),
    (
        &["de"],
        &["der ", "die ", "das ", "den ", "dem ", "des ", "ein ", "eine ", "einen ", "einem ", "einer ", "eines "],
    ),
    (&["fr", "oc"], &["le ", "la ", "les ", "l'", "un ", "une ", "des "]),
    (&["es", "gl"], &["el ", "la ", "lo ", "los ", "las ", "un ", "una ", "unos ", "unas "]),
    (&["it"], &["il ", "lo ", "la ", "l'", "i ", "gli ", "le ", "un ", "uno ", "una ", "un'"]),
    (&["nl", "af"], &["de ", "het ", "een ", "'t ", "t ", "'n ", "n ", "die "]),
    (&["pt"], &["o ", "a ", "os ", "as ", "um ", "uma ", "uns ", "umas "]),
    (&["sv", "da", "no", "nb", "nn"], &["en ", "ett ", "et ", "ei ", "den ", "det ", "de "]),
    (&["ca"], &["el ", "la ", "els ", "les ", "l'", "un ", "una ", "en ", "na "]),
    (&["hu"], &["a ", "az ", "egy "]),
    (&["el"], &["ο ", "η ", "το ", "οι ", "τα ", "ενας ", "ενα ", "μια "]),
    (&["ga"], &["an ", "na "]),
    (&["ro"], &["un ", "o ", "niste "]),
];

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
    fn titles_stand_without_article_and_punctuation() {
        for (title, language, key) in [
            ("The Zebra", Some("en"), "zebra"),
            ("A Yak", Some("en"), "yak"),
            ("An Owl", None, "owl"),
            ("“The Owl”", Some("en"), "owl”"),
            ("...And Ladies of the Club", Some("en"), "and ladies of the club"),
            ("¿Quién?", Some("es"), "quien?"),
            ("Der Zauberberg", Some("de"), "zauberberg"),
            ("Die Hard", Some("en"), "die hard"),
            ("Die Verwandlung", Some("de-AT"), "verwandlung"),
            ("L'Étranger", Some("fr"), "etranger"),
            ("L’Amant", Some("fr"), "amant"),
            ("La Peste", Some("fr"), "peste"),
            ("Les Misérables", Some("fr"), "miserables"),
            ("El túnel", Some("es"), "tunel"),
            ("I Malavoglia", Some("it"), "malavoglia"),
            ("Un'altra vita", Some("it"), "altra vita"),
            ("De brief voor de koning", Some("nl"), "brief voor de koning"),
            ("'t Hooge nest", Some("nl"), "hooge nest"),
            ("Os Maias", Some("pt"), "maias"),
            ("Den ärliga bedragaren", Some("sv"), "arliga bedragaren"),
            ("A Tale", Some("fr"), "a tale"),
            ("A Is for Alibi", Some("en"), "a is for alibi"),
            ("The", Some("en"), "the"),
            ("It", Some("en"), "it"),
            ("Theatre", Some("en"), "theatre"),
            ("!!!", Some("en"), "!!!"),
            ("三体", Some("zh"), "三体"),
        ] {
            assert_eq!(title_key(title, language), key, "{title}");
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
