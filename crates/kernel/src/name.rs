use std::{fmt, str::FromStr};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A person's name as it may be shown, stored and written in a mail: one line, NFC, 1 to 100 characters that can be
/// seen, without anything that a mail program would turn into a link.
///
/// White space is trimmed and runs of it become one space. Marks that only say how text runs or may break (soft hyphen,
/// zero-width space, left-to-right mark, byte order mark) are dropped; they come along when people copy. Joiners stay:
/// Persian and Indic names need them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PersonName(String);

/// Why a text is no person's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing in it can be seen.
    #[error("must not be empty")]
    Empty,
    /// It has this many characters.
    #[error("must be at most {max} characters, not {0}", max = PersonName::MAX)]
    TooLong(usize),
    /// A line break, a bell and the like.
    #[error("must not contain control characters")]
    Control,
    /// An embedding, override or isolate of the bidirectional algorithm (UAX 9).
    #[error("must not contain characters that turn the direction of text")]
    Direction,
    /// A filler or a tag.
    #[error("must not contain characters that nobody can see")]
    Invisible,
    /// A web or e-mail address.
    #[error("must be a name, without a web or e-mail address in it")]
    Link,
}

impl PersonName {
    /// The most characters.
    pub const MAX: usize = 100;

    /// Cleans and checks a name.
    ///
    /// # Errors
    /// When nobody could see it, it is too long, or it has characters that no name has.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        // Whoever sends a megabyte gets an answer without its being normalised.
        let given = text.trim().chars().count();
        if given > 20 * Self::MAX {
            return Err(InvalidName::TooLong(given));
        }
        let mut name = String::with_capacity(text.len());
        for c in text.trim().nfc() {
            match c {
                _ if c.is_control() => return Err(InvalidName::Control),
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => return Err(InvalidName::Direction),
                '\u{AD}' | '\u{61C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2060}' | '\u{FEFF}' => {}
                '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}' => name.push(c),
                _ if c.is_whitespace() => {
                    if !name.ends_with(' ') {
                        name.push(' ');
                    }
                }
                _ if is_ignorable(c) => return Err(InvalidName::Invisible),
                _ => name.push(c),
            }
        }
        let name = name.trim_matches(|c: char| c == ' ' || is_ignorable(c));
        let length = name.chars().count();
        if !has_visible(name) {
            Err(InvalidName::Empty)
        } else if length > Self::MAX {
            Err(InvalidName::TooLong(length))
        } else if looks_like_a_link(name) {
            Err(InvalidName::Link)
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether anything in a text can be seen: a character that is neither space nor control nor ignorable, and that does
/// not need another one to stand on.
#[must_use]
pub fn has_visible(text: &str) -> bool {
    text.chars()
        .any(|c| !c.is_whitespace() && !c.is_control() && !is_ignorable(c) && c != '\u{2800}' && !is_combining_mark(c))
}

/// Whether a text has a web or e-mail address in it, also one that is disguised: wide letters, invisible characters,
/// `hxxp`. It rather finds one too many: what is found should be looked at, not refused.
#[must_use]
pub fn has_link(text: &str) -> bool {
    looks_like_a_link(&text.chars().filter(|c| !is_ignorable(*c)).collect::<String>())
}

/// `Default_Ignorable_Code_Point` of Unicode 17 (DerivedCoreProperties.txt), and the annotation marks: characters that
/// are drawn as nothing.
const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// Endings that a word with a dot has when it is meant as an address, beside those of two letters.
const ENDINGS: &[&str] = &[
    "app", "art", "biz", "blog", "buzz", "cafe", "cash", "chat", "click", "cloud", "club", "com", "deals", "dev",
    "digital", "edu", "email", "example", "finance", "fun", "gift", "gifts", "gov", "group", "help", "host", "icu",
    "info", "int", "ink", "link", "live", "loan", "local", "login", "ltd", "media", "mil", "mobi", "money", "name",
    "net", "network", "news", "online", "onion", "org", "page", "pay", "pics", "press", "prize", "promo", "pub",
    "rest", "rocks", "run", "sale", "sbs", "services", "shop", "site", "social", "space", "store", "stream", "support",
    "tech", "test", "today", "tokyo", "top", "tv", "vip", "wang", "web", "website", "win", "work", "works", "world",
    "wtf", "xxx", "xyz", "zip", "zone",
];

/// What may stand before a dot in a name: `Mrs.Li`.
const TITLES: &[&str] = &["dr", "mr", "mrs", "ms", "mx", "prof", "rev", "sir"];

/// Whether a mail program, or a person, would take something in it for an address. Looked at in the compatibility form,
/// so that full-width letters hide nothing.
fn looks_like_a_link(name: &str) -> bool {
    let plain: String = name.nfkc().flat_map(char::to_lowercase).collect();
    let plain = plain.replace(['。', '．', '｡'], ".").replace(['\u{2215}', '\u{2044}'], "/");
    let scheme = ["mailto:", "javascript:", "data:", "http:", "https:", "hxxp", "tel:", "www."];
    plain.contains("://")
        || plain.contains('@')
        || scheme.iter().any(|scheme| plain.contains(scheme))
        || plain.split(|c: char| c.is_whitespace() || ",;:!?()[]{}<>\"'|*=".contains(c)).any(is_address)
}

/// Whether a word is a host, or begins with one and goes on with a path.
fn is_address(word: &str) -> bool {
    let (host, path) = word.split_once('/').map_or((word, None), |(host, path)| (host, Some(path)));
    let host = host.trim_matches('.');
    let labels: Vec<&str> = host.split('.').collect();
    if labels.len() < 2 || labels.iter().any(|label| label.is_empty()) {
        return false;
    }
    let is_ip = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
    let (last, before) = (labels[labels.len() - 1], &labels[..labels.len() - 1]);
    if is_ip || path.is_some_and(|_| last.chars().count() >= 2 && last.chars().all(char::is_alphanumeric)) {
        return true;
    }
    let longest = before.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let known = longest > 1 && (ENDINGS.contains(&last) || last.starts_with("xn--"));
    // No country ends in `jr`, and people write `Smith.Jr`.
    let country = longest > 2 && last != "jr" && last.len() == 2 && last.bytes().all(|byte| byte.is_ascii_lowercase());
    (known || country) && !before.iter().any(|label| TITLES.contains(label))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<String, InvalidName> {
        PersonName::parse(text).map(String::from)
    }

    #[test]
    fn people_have_these_names() {
        for name in [
            "Ann",
            "X",
            "J.R.R. Tolkien",
            "J.R.R.Tolkien",
            "Mrs.Li",
            "St.John Smith",
            "Dr. No",
            "Prof.Dr.Anna Weiß",
            "John Smith, Jr.",
            "John Smith.Jr",
            "O’Brien-D'Arcy",
            "Nguyễn Thị Minh Khai",
            "李小龍",
            "محمد بن سلمان",
            "Björk Guðmundsdóttir",
            "Jean-Luc c/o Picard",
            "Smith / Jones",
            "Sammy Davis Jr.",
            "Élodie 🦄",
            "3",
            "A. de B.",
            "مي\u{200C}خواهم",
            "Ph.D. Comics",
            "W.E.B. Du Bois",
        ] {
            assert_eq!(parsed(name), Ok(name.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_comes_along_when_people_copy_is_dropped() {
        assert_eq!(parsed("  Ann\u{A0}\u{2003} Reader\u{200B} "), Ok("Ann Reader".to_owned()));
        assert_eq!(parsed("\u{FEFF}An\u{AD}n\u{200E}"), Ok("Ann".to_owned()));
        assert_eq!(parsed("Zoe\u{308}"), Ok("Zoë".to_owned()), "NFC");
        assert_eq!(parsed("Ann\u{200D}"), Ok("Ann".to_owned()), "a joiner joins nothing at the end");
    }

    #[test]
    fn nobody_has_a_name_that_cannot_be_seen() {
        for name in
            ["", "  ", "\u{200B}", "\u{200D}\u{200C}", "\u{2800}", "\u{301}", "\u{FE0F}", "\u{A0}\u{AD}", "\u{3000}"]
        {
            assert_eq!(parsed(name), Err(InvalidName::Empty), "{name:?}");
        }
        for name in ["\u{3164}", "\u{115F}x", "Ann\u{E0041}", "\u{FFA0}", "A\u{FFF9}b"] {
            assert_eq!(parsed(name), Err(InvalidName::Invisible), "{name:?}");
        }
        for name in ["\u{202E}nnA", "Ann \u{2067}x\u{2069}", "a\u{202A}b"] {
            assert_eq!(parsed(name), Err(InvalidName::Direction), "{name:?}");
        }
        for name in ["a\nb", "a\u{0}b", "a\u{85}b", "a\tb", "a\u{1b}[31m"] {
            assert_eq!(parsed(name), Err(InvalidName::Control), "{name:?}");
        }
        assert_eq!(parsed(&"ä".repeat(101)), Err(InvalidName::TooLong(101)));
        assert_eq!(parsed(&"a\u{308}".repeat(100)), Ok("ä".repeat(100)), "counted as it is stored");
        assert!(matches!(parsed(&"x".repeat(1_000_000)), Err(InvalidName::TooLong(_))));
    }

    #[test]
    fn a_name_is_no_link() {
        for name in [
            "you won a voucher! Claim it now at https://evil.example/win",
            "http://x",
            "HTTPS://EVIL.EXAMPLE",
            "ftp://a",
            "www.evil.example",
            "WWW.x",
            "claim at evil.com",
            "Evil.Com",
            "bit.ly/abc",
            "t.co/x",
            "evil.example",
            "shop.co.uk",
            "evil.de",
            "evil.md",
            "see evil.xyz!",
            "(evil.click)",
            "ann@example.org",
            "ann＠example.org",
            "ｈｔｔｐｓ：／／evil",
            "evil。com",
            "evil．com",
            "evil\u{AD}.com",
            "evil.com.",
            "192.168.0.1",
            "192.168.0.1/login",
            "mailto:x",
            "javascript:alert(1)",
            "xn--mnchen-3ya.xn--p1ai",
            "e\u{200B}vil.com",
            "ev\u{200D}il.com",
            "hxxp evil",
        ] {
            assert_eq!(parsed(name), Err(InvalidName::Link), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_stable_and_one_visible_line(text in any::<String>()) {
            if let Ok(name) = PersonName::parse(&text) {
                prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(has_visible(name.as_str()) && !name.as_str().contains(char::is_control));
            }
        }
    }
}
