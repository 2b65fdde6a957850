use std::collections::HashSet;

use bookworm_kernel::{Isbn13, Language};
use serde::Serialize;

use super::{author, text::fold};

/// The most characters of a title.
pub(crate) const TITLE: usize = 500;
/// The most authors, and the most subjects, of a book.
pub(crate) const NAMES: usize = 50;
/// The most characters of an author's, a publisher's or an edited name.
pub(crate) const NAME: usize = 200;
/// The most characters of a subject.
pub(crate) const SUBJECT: usize = 100;
/// The most characters of a series.
pub(crate) const SERIES: usize = 300;
/// Characters of the name of a place where readers rate books.
pub(crate) const RATING_SOURCE: usize = 60;
/// The last place in a series, in hundredths.
pub(crate) const SERIES_POSITION: i64 = 15_000;
/// The most characters of a description.
pub(crate) const DESCRIPTION: usize = 20_000;
/// The most characters of the key in an import file.
pub(crate) const SOURCE_ID: usize = 300;
/// Years from, to.
pub(crate) const YEARS: std::ops::RangeInclusive<i64> = -5_000..=3_000;
/// Pages from, to.
pub(crate) const PAGES: std::ops::RangeInclusive<i64> = 1..=100_000;
/// The highest price, in minor units.
pub(crate) const PRICE: i64 = 100_000_000;
/// The most copies of a book in the house.
pub(crate) const COPIES: i64 = 1_000_000_000;

/// A book as staff or an import file describes it: checked, not yet stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Draft {
    pub(crate) source_id: Option<String>,
    pub(crate) isbn13: Option<Isbn13>,
    pub(crate) title: String,
    pub(crate) authors: Vec<String>,
    pub(crate) subjects: Vec<String>,
    pub(crate) publisher: Option<String>,
    pub(crate) year: Option<i64>,
    pub(crate) language: Option<String>,
    pub(crate) pages: Option<i64>,
    pub(crate) series: Option<String>,
    /// Its place in the series in hundredths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) series_position: Option<i64>,
    pub(crate) description: Option<String>,
    /// Minor units of the shop's currency.
    pub(crate) price: i64,
    pub(crate) list_price: Option<i64>,
    /// Whether it can be bought. One without a price cannot.
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) for_sale: bool,
}

/// The usual case adds nothing to what an import file is remembered by.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Each name once, in the order given: a name that folds to an earlier one is left out.
pub(crate) fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.into_iter().filter(|name| seen.insert(fold(name))).collect()
}

/// As [`distinct`], for authors: spellings of one name are one author.
pub(crate) fn distinct_authors(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.into_iter().filter(|name| seen.insert(author::identity(name))).collect()
}

/// The tag of a language that is given by any code of ISO 639 or by its name.
pub(crate) fn language(text: &str) -> Option<String> {
    Language::parse(text).ok().map(|language| language.tag().to_owned())
}

/// Where a book without a year stands: after all others, latest first.
pub(crate) fn year_key(year: Option<i64>) -> i64 {
    year.unwrap_or(-1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once() {
        let names = ["Émile Zola", "Emile  ZOLA", "Lem"].map(str::to_owned).to_vec();
        assert_eq!(distinct(names), ["Émile Zola", "Lem"]);
    }

    #[test]
    fn reads_language_codes() {
        assert_eq!(language(" EN "), Some("en".into()));
        assert_eq!(language("pt-BR"), Some("pt".into()));
        assert_eq!(language("grc"), Some("grc".into()));
        assert_eq!(language("eng"), Some("en".into()));
        assert_eq!(language("English"), Some("en".into()));
        for bad in ["", "e", "zz", "e1", "日本"] {
            assert_eq!(language(bad), None, "{bad}");
        }
    }
}
