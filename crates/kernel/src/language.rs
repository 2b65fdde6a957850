use std::{collections::HashMap, fmt, str::FromStr, sync::LazyLock};

use isolang::Language as Iso;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The language of a text (ISO 639), written as the shortest BCP 47 tag: `en`, `grc`. Region and script are dropped, so
/// that `en-GB` and `en-US` are one language to filter by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "en")]
pub struct Language(Iso);

/// Why a text names no language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a language: its code, such as en or eng (ISO 639), or its name, such as English")]
pub struct UnknownLanguage;

/// ISO 639-2 codes of bibliographies that differ from those of ISO 639-3. The list is closed.
const BIBLIOGRAPHIC: &[(&str, &str)] = &[
    ("alb", "sqi"),
    ("arm", "hye"),
    ("baq", "eus"),
    ("bur", "mya"),
    ("chi", "zho"),
    ("cze", "ces"),
    ("dut", "nld"),
    ("fre", "fra"),
    ("geo", "kat"),
    ("ger", "deu"),
    ("gre", "ell"),
    ("ice", "isl"),
    ("mac", "mkd"),
    ("mao", "mri"),
    ("may", "msa"),
    ("per", "fas"),
    ("rum", "ron"),
    ("slo", "slk"),
    ("tib", "bod"),
    ("wel", "cym"),
];

/// Codes that were withdrawn and are still found in catalogues, and individual languages that BCP 47 writes as the
/// language they belong to. From the language aliases of the Unicode CLDR.
const ALIASES: &[(&str, &str)] = &[
    ("in", "ind"),
    ("iw", "heb"),
    ("ji", "yid"),
    ("jw", "jav"),
    ("mo", "ron"),
    ("mol", "ron"),
    ("scc", "srp"),
    ("scr", "hrv"),
    ("arb", "ara"),
    ("azj", "aze"),
    ("cmn", "zho"),
    ("ekk", "est"),
    ("khk", "mon"),
    ("lvs", "lav"),
    ("npi", "nep"),
    ("ory", "ori"),
    ("pes", "fas"),
    ("plt", "mlg"),
    ("swh", "swa"),
    ("uzn", "uzb"),
    ("ydd", "yid"),
    ("zsm", "msa"),
];

/// Names that readers, booksellers and other programs write, beside the English name and the language's own.
const OTHER_NAMES: &str = include_str!("../data/language-names.txt");

/// English names as readers know them, where the standard's differ. From the Unicode CLDR.
const USUAL_NAMES: &[(&str, &str)] = &[
    ("ell", "Greek"),
    ("fry", "Frisian"),
    ("hat", "Haitian Creole"),
    ("khm", "Khmer"),
    ("ori", "Odia"),
    ("pan", "Punjabi"),
    ("pus", "Pashto"),
    ("uig", "Uyghur"),
    ("yue", "Cantonese"),
];

/// Codes that say that there is no one language.
const NONE: [&str; 4] = ["und", "mul", "mis", "zxx"];

/// Languages by their folded names. Those that have a code of two letters win over others of the same name.
static BY_NAME: LazyLock<HashMap<String, Iso>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    let mut put = |name: &str, language: Iso| {
        let name = fold(name);
        if name.chars().nth(1).is_some() && name.chars().any(char::is_alphabetic) {
            names.entry(name).or_insert(language);
        }
    };
    for line in OTHER_NAMES.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split(',').map(str::trim);
        if let Some(language) = parts.next().and_then(by_code) {
            parts.for_each(|name| put(name, language));
        }
    }
    for (code, name) in USUAL_NAMES {
        if let Some(language) = Iso::from_639_3(code) {
            put(name, language);
        }
    }
    let one = isolang::languages().filter(|language| !NONE.contains(&language.to_639_3()));
    let (common, rare): (Vec<Iso>, Vec<Iso>) = one.partition(|language| language.to_639_1().is_some());
    for language in common.into_iter().chain(rare) {
        if let Some(language) = Iso::from_639_3(canonical(language.to_639_3())) {
            put(language.to_name(), language);
        }
        language.to_autonym().into_iter().flat_map(|names| names.split([',', ';', '/'])).for_each(|own| {
            put(own, language);
        });
    }
    names
});

/// Lower case without diacritics, one blank between words.
fn fold(text: &str) -> String {
    let plain: String =
        text.nfkd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical(code: &str) -> &str {
    BIBLIOGRAPHIC.iter().chain(ALIASES).find(|(known, _)| *known == code).map_or(code, |(_, canonical)| canonical)
}

/// By a code of two or three small letters.
fn by_code(code: &str) -> Option<Iso> {
    if NONE.contains(&code) {
        return None;
    }
    let code = canonical(code);
    match code.len() {
        2 => Iso::from_639_1(code),
        3 => Iso::from_639_3(code),
        _ => None,
    }
}

impl Language {
    /// Reads a code of ISO 639-1, 639-2 (both kinds) or 639-3, a BCP 47 tag or POSIX locale (`pt-BR`, `zh_Hant_TW`), or
    /// a name: English, the language's own, or another usual one. Case and diacritics do not matter; what stands in
    /// brackets behind a name does not count, as in `Spanish (Latin America)`.
    ///
    /// # Errors
    /// When it names no language, or several: `und`, `mul`.
    pub fn parse(text: &str) -> Result<Self, UnknownLanguage> {
        // The longest name of the standard has 58 letters.
        if text.chars().count() > 100 {
            return Err(UnknownLanguage);
        }
        let folded = fold(text);
        let locale = folded.split(['.', '@']).next().unwrap_or_default();
        let mut parts = locale.split(['-', '_']);
        let code = parts.next().unwrap_or_default();
        let is_letters = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase());
        let is_subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if (2..=3).contains(&code.len()) && is_letters(code) && parts.all(is_subtag) {
            let language = by_code(code).map(Self);
            if language.is_some() {
                return language.ok_or(UnknownLanguage);
            }
        }
        let named = |name: &str| BY_NAME.get(name.trim()).copied();
        named(&folded)
            .or_else(|| named(folded.split(['(', '[']).next().unwrap_or_default()))
            // "Spanish; Castilian": the standard's own way to give two names to one language.
            .or_else(|| {
                let mut all = folded.split([';', ',', '/']).map(named);
                let first = all.next()??;
                all.all(|other| other == Some(first)).then_some(first)
            })
            .map(Self)
            .ok_or(UnknownLanguage)
    }

    /// The BCP 47 tag: the code of two letters, or of three where there is none (RFC 5646, 2.2.1).
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.0.to_639_1().unwrap_or_else(|| self.0.to_639_3())
    }

    /// The English name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let code = self.0.to_639_3();
        USUAL_NAMES.iter().find(|(known, _)| *known == code).map_or_else(|| self.0.to_name(), |(_, name)| name)
    }

    /// The name in the language itself, where it is known.
    #[must_use]
    pub fn own_name(self) -> Option<&'static str> {
        self.0.to_autonym().filter(|name| !name.is_empty())
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Language {
    type Error = UnknownLanguage;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.tag().to_owned()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> Option<&'static str> {
        Language::parse(text).ok().map(Language::tag)
    }

    #[test]
    fn every_form_of_iso_639_is_one_tag() {
        for (tag_of, forms) in [
            ("en", &["en", "EN", "eng", "ENG", "English", "english", "en-GB", "en_US", "en_US.UTF-8"][..]),
            ("de", &["de", "ger", "deu", "German", "Deutsch", "allemand", "de-CH-1996"]),
            ("fr", &["fr", "fre", "fra", "French", "français", "francais", "Französisch", "French (Canada)"]),
            ("zh", &["zh", "chi", "zho", "cmn", "Chinese", "中文", "Mandarin", "zh-Hant-TW", "Chinese (Simplified)"]),
            ("cs", &["cs", "cze", "ces", "Czech", "čeština"]),
            ("el", &["el", "gre", "ell", "Greek", "Modern Greek", "Ελληνικά"]),
            ("nl", &["nl", "dut", "nld", "Dutch", "Flemish", "Dutch; Flemish", "Nederlands"]),
            ("es", &["es", "spa", "Spanish; Castilian", "Spanish", "español", "Castellano"]),
            ("he", &["he", "iw", "heb", "Hebrew"]),
            ("id", &["id", "in", "ind", "Indonesian"]),
            ("fa", &["fa", "per", "fas", "pes", "Persian", "Farsi"]),
            ("pt", &["pt-BR", "por", "Portuguese", "português", "Brazilian Portuguese"]),
            ("ja", &["ja", "jpn", "Japanese", "日本語"]),
            ("ru", &["rus", "русский", "Russian"]),
            ("nb", &["nb", "nob", "Norwegian Bokmål"]),
            ("grc", &["grc", "Ancient Greek"]),
            ("sr", &["scc", "srp", "Serbian"]),
            ("sw", &["swa", "swh", "Swahili"]),
            ("ro", &["rum", "mol", "mo", "Romanian"]),
            ("yue", &["yue", "Cantonese"]),
        ] {
            for form in forms {
                assert_eq!(tag(form), Some(tag_of), "{form}");
            }
        }
        for bad in
            ["", " ", "zz", "xx", "qqq", "e", "e1", "und", "mul", "zxx", "English, French", "gibberish", "en us", "12"]
        {
            assert_eq!(tag(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_those_that_readers_know() {
        for (code, name) in
            [("eng", "English"), ("gre", "Greek"), ("khm", "Khmer"), ("swa", "Swahili"), ("zh", "Chinese")]
        {
            assert_eq!(Language::parse(code).unwrap().name(), name);
        }
        assert_eq!(Language::parse("de").unwrap().own_name(), Some("Deutsch"));
    }

    #[test]
    fn every_language_is_known_by_its_tag_and_code() {
        for iso in isolang::languages().filter(|iso| !NONE.contains(&iso.to_639_3())) {
            let language = Language::parse(iso.to_639_3()).unwrap();
            assert_eq!(Language::parse(language.tag()), Ok(language));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            if let Ok(language) = Language::parse(&text) {
                prop_assert_eq!(Language::parse(language.tag()), Ok(language));
            }
        }
    }
}
