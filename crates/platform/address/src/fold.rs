use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Words that name a kind of region rather than the region.
const KINDS: &[&str] = &[
    "state",
    "province",
    "prov",
    "county",
    "co",
    "prefecture",
    "governorate",
    "of",
    "the",
    "region",
    "oblast",
    "emirate",
    "island",
    "islands",
];

/// Letters and digits alone, without case, accents, blanks and points: `Québec` and `QUEBEC` are one, and so are `N.Y.`,
/// `N. Y.` and `NY`.
pub(crate) fn fold(text: &str) -> String {
    words(text).concat()
}

/// As [`fold`], without the words that say what kind of region it is: `State of California`, `County Cork`.
pub(crate) fn bare(text: &str) -> String {
    words(text).into_iter().filter(|word| !KINDS.contains(&word.as_str())).collect::<Vec<_>>().concat()
}

fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !matches!(c, '.' | '\'' | '\u{2019}'))
        .flat_map(char::to_lowercase)
        .collect();
    // Letters that Unicode does not take apart.
    let pairs = [('ı', "i"), ('ł', "l"), ('ø', "o"), ('đ', "d"), ('ð', "d"), ('æ', "ae"), ('œ', "oe"), ('ß', "ss")];
    let plain = pairs.iter().fold(plain, |text, (from, to)| text.replace(*from, to)).replace('&', " and ");
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| if word == "saint" { "st".to_owned() } else { word.to_owned() }).collect()
}
