//! What a query wishes beside its subject: the best, cheap ones, of a year, in a language, for a child of eight, like
//! another book. Each kind is a function over the query's words that says which of them it has understood; the others are
//! searched for.
//!
//! A wish may be meant as words all the same (*The Best of Me*): whoever asks can name kinds to leave alone, and a query
//! that a book or an author is called has no wishes; that is for the index to know.

#![expect(clippy::single_range_in_vec_init, reason = "places of words, of which there often is one")]

mod age;
mod best;
mod language;
mod like;
mod price;
mod year;

use std::ops::Range;

use super::text::fold;

/// One thing that is wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The best rated first.
    Best,
    /// The newest first.
    New,
    /// The cheapest first.
    Cheap,
    /// For so much at most, in hundredths of a unit of the shop's currency.
    AtMost(i64),
    /// Published in these years, both ends included.
    Years(i64, i64),
    /// In the language of this ISO 639 code.
    Language(String),
    /// For somebody of these years of age, both ends included.
    Age(u8, u8),
    /// Like the book, or those, of this title or name.
    Like(String),
}

impl Wish {
    /// Whether it asks for an order, whatever the books are.
    pub(crate) fn is_order(&self) -> bool {
        matches!(self, Self::Best | Self::New | Self::Cheap)
    }

    /// What its kind is called in addresses.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::New => "new",
            Self::Cheap => "cheap",
            Self::AtMost(_) => "price",
            Self::Years(..) => "year",
            Self::Language(_) => "language",
            Self::Age(..) => "age",
            Self::Like(_) => "like",
        }
    }
}

/// A query, and what it wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// What is left to search for; empty: every book.
    pub(crate) rest: String,
    /// At most one of each kind.
    pub(crate) wishes: Vec<Wish>,
}

/// Words for books: what stands beside one is said of books.
const KINDS: [&str; 15] = [
    "book",
    "books",
    "novel",
    "novels",
    "release",
    "releases",
    "fiction",
    "nonfiction",
    "titles",
    "ebooks",
    "paperback",
    "paperbacks",
    "hardcovers",
    "audiobooks",
    "bestsellers",
];
/// Kinds of books that hardly name anything else.
const GENRES: [&str; 18] = [
    "thriller",
    "thrillers",
    "mystery",
    "mysteries",
    "poetry",
    "poems",
    "stories",
    "fantasy",
    "horror",
    "romance",
    "romances",
    "memoirs",
    "biographies",
    "cookbooks",
    "comics",
    "manga",
    "plays",
    "textbooks",
];

fn is_kind(word: &Word) -> bool {
    KINDS.contains(&word.folded.as_str())
}

/// Whether it is a word for books, or for books of one kind.
fn is_books(word: &Word) -> bool {
    is_kind(word) || GENRES.contains(&word.folded.as_str())
}

/// A word of a query.
#[derive(Debug, Clone)]
struct Word {
    /// As typed.
    typed: String,
    /// Folded, without punctuation around it; an apostrophe joins.
    folded: String,
}

/// Words that were understood, and the wish that they are; none where they only belong to one ("gift for").
type Found = (Vec<Range<usize>>, Wish);

/// Looks for wishes of one kind; told whether there is one of another.
type Kind = fn(&[Word], bool) -> Option<Found>;

/// The longest query that has wishes: who tells a story says "old" and "new" of other things.
const LONGEST: usize = 12;

/// What a query wishes. Kinds in `ignored` are left as words.
pub(crate) fn wishes(query: &str, ignored: &[String]) -> Option<Wishes> {
    let mut words = words_of(query);
    if words.len() > LONGEST || query.contains('"') {
        return None;
    }
    // For whom takes words for books away that the best, the new and the cheap ones stand before.
    let kinds: [Kind; 8] =
        [like::like, price::price, best::best, best::new, price::cheap, age::age, language::language, year::year];
    let mut wishes: Vec<Wish> = Vec::new();
    for kind in kinds {
        let Some((places, wish)) = kind(&words, !wishes.is_empty()) else { continue };
        if ignored.iter().any(|ignored| ignored == wish.kind()) {
            continue;
        }
        remove(&mut words, &places);
        wishes.push(wish);
    }
    // "best fantasy 2010": beside the best a year is one too. Elsewhere it may be a title: "1984 orwell in french".
    if wishes.contains(&Wish::Best)
        && !wishes.iter().any(|wish| matches!(wish, Wish::Years(..)))
        && !ignored.iter().any(|kind| kind == "year")
        && let Some((places, wish)) = year::bare(&words)
    {
        remove(&mut words, &places);
        wishes.push(wish);
    }
    if wishes.is_empty() {
        return None;
    }
    trim(&mut words);
    Some(Wishes { rest: words.iter().map(|word| word.typed.as_str()).collect::<Vec<_>>().join(" "), wishes })
}

fn words_of(query: &str) -> Vec<Word> {
    let fold_word = |typed: &str| {
        let folded = fold(typed).replace('\'', "");
        folded.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '$' | '€' | '£')).to_owned()
    };
    // "8-year-old" is three words.
    let parted = query.replace("-year", " year").replace("year-", "year ").replace("-yr", " yr");
    let words = parted.split_whitespace().map(|typed| Word { typed: typed.to_owned(), folded: fold_word(typed) });
    words.filter(|word| !word.folded.is_empty()).collect()
}

fn remove(words: &mut Vec<Word>, places: &[Range<usize>]) {
    let mut at = 0;
    words.retain(|_| {
        let is_gone = places.iter().any(|place| place.contains(&at));
        at += 1;
        !is_gone
    });
}

/// Takes off what only names what is wanted ("books") at either end, or joined what was taken away.
fn trim(words: &mut Vec<Word>) {
    const IDLE: [&str; 18] = [
        "book", "books", "a", "an", "the", "some", "any", "and", "of", "for", "in", "from", "by", "to", "read", "me",
        "with", "ones",
    ];
    let is_idle = |word: &Word| IDLE.contains(&word.folded.as_str());
    while words.last().is_some_and(is_idle) {
        words.pop();
    }
    while words.first().is_some_and(is_idle) {
        words.remove(0);
    }
}

/// The place of the first of these phrases, each of words parted by blanks, that stands anywhere.
fn anywhere(words: &[Word], phrases: &[&str]) -> Option<Range<usize>> {
    (0..words.len()).find_map(|at| starting(&words[at..], phrases).map(|length| at..at + length))
}

/// How many words the longest of these phrases has that the words begin with.
fn starting(words: &[Word], phrases: &[&str]) -> Option<usize> {
    let is_there = |phrase: &&&str| {
        let mut parts = phrase.split(' ');
        let count = parts.clone().count();
        count <= words.len() && words.iter().take(count).all(|word| parts.next() == Some(word.folded.as_str()))
    };
    phrases.iter().filter(is_there).map(|phrase| phrase.split(' ').count()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> (String, Vec<Wish>) {
        wishes(query, &[]).map_or((query.to_owned(), Vec::new()), |found| (found.rest, found.wishes))
    }

    #[test]
    fn wishes_are_told_from_what_is_searched_for() {
        let language = |code: &str| Wish::Language(code.to_owned());
        let like = |title: &str| Wish::Like(title.to_owned());
        for (query, rest, found) in [
            ("best fantasy 2010", "fantasy", vec![Wish::Best, Wish::Years(2010, 2010)]),
            ("best fantasy of the 2000s", "fantasy", vec![Wish::Best, Wish::Years(2000, 2009)]),
            ("best rated thrillers", "thrillers", vec![Wish::Best]),
            ("best selling thrillers", "thrillers", vec![Wish::Best]),
            ("best science fiction of all time", "science fiction", vec![Wish::Best]),
            ("best horror novels ever", "horror novels", vec![Wish::Best]),
            ("top 10 horror books", "horror", vec![Wish::Best]),
            ("best books for 8 year olds", "", vec![Wish::Best, Wish::Age(8, 8)]),
            ("best books for teens", "", vec![Wish::Best, Wish::Age(13, 17)]),
            ("cheap books for toddlers", "", vec![Wish::Cheap, Wish::Age(1, 3)]),
            ("top 10 books for toddlers", "", vec![Wish::Best, Wish::Age(1, 3)]),
            ("new books for 9 year olds", "", vec![Wish::New, Wish::Age(9, 9)]),
            ("cheap books", "", vec![Wish::Cheap]),
            ("budget books", "", vec![Wish::Cheap]),
            ("cheapest cookbooks", "cookbooks", vec![Wish::Cheap]),
            ("cheap books under $10", "", vec![Wish::AtMost(1_000), Wish::Cheap]),
            ("science fiction under $10", "science fiction", vec![Wish::AtMost(1_000)]),
            ("dinosaurs under $9.99", "dinosaurs", vec![Wish::AtMost(999)]),
            ("first editions under $1,000", "first editions", vec![Wish::AtMost(100_000)]),
            ("cooking max 12,50 euros", "cooking", vec![Wish::AtMost(1_250)]),
            ("mystery for less than 5 euros", "mystery", vec![Wish::AtMost(500)]),
            ("newest stephen king", "stephen king", vec![Wish::New]),
            ("new novels", "novels", vec![Wish::New]),
            ("murakami in japanese", "murakami", vec![language("ja")]),
            ("1984 orwell in french", "1984 orwell", vec![language("fr")]),
            ("blade runner 2049 in german", "blade runner 2049", vec![language("de")]),
            ("cheap 1984 orwell", "1984 orwell", vec![Wish::Cheap]),
            ("harry potter french edition", "harry potter", vec![language("fr")]),
            ("poetry from the 1990s", "poetry", vec![Wish::Years(1990, 1999)]),
            ("novels published in 1984", "novels", vec![Wish::Years(1984, 1984)]),
            ("thrillers published since 2010", "thrillers", vec![Wish::Years(2010, 2100)]),
            ("thrillers published after 2010", "thrillers", vec![Wish::Years(2011, 2100)]),
            ("novels since 2010", "novels", vec![Wish::Years(2010, 2100)]),
            ("novels between 1914 and 1918", "novels", vec![Wish::Years(1914, 1918)]),
            ("physics written from 1939 to 1945", "physics", vec![Wish::Years(1939, 1945)]),
            ("horror that came out in 2012", "horror", vec![Wish::Years(2012, 2012)]),
            ("history books published before 1950", "history", vec![Wish::Years(0, 1949)]),
            ("gift for 8 year old who likes dinosaurs", "dinosaurs", vec![Wish::Age(8, 8)]),
            ("books for 3 year olds bedtime", "bedtime", vec![Wish::Age(3, 3)]),
            ("an 8-year-old's dinosaur book", "dinosaur", vec![Wish::Age(8, 8)]),
            ("adventure ages 9-12", "adventure", vec![Wish::Age(9, 12)]),
            ("book for age 7", "", vec![Wish::Age(7, 7)]),
            ("christmas books for toddlers", "christmas", vec![Wish::Age(1, 3)]),
            ("christmas gift for 5 year old", "", vec![Wish::Age(5, 5)]),
            ("the girl who drank the moon for 10 year olds", "girl who drank the moon", vec![Wish::Age(10, 10)]),
            ("birthday present for my teenage daughter who loves horses", "horses", vec![Wish::Age(13, 17)]),
            ("books like dune", "", vec![like("dune")]),
            ("similar to the da vinci code", "", vec![like("the da vinci code")]),
        ] {
            assert_eq!(read(query), (rest.to_owned(), found), "{query}");
        }
    }

    #[test]
    fn what_is_no_wish_stays() {
        for query in [
            "1984",
            "dune",
            "the year of the flood",
            "blade runner 2049",
            "animal farm",
            "something wicked this way comes",
            "the old man and the sea",
            "a man who likes the sea",
            "\"best of\" times",
            "twenty thousand leagues under the sea",
            "the english patient",
            "children of men",
            "a book i read about 10 years ago",
            "fiction about a girl in the 1800s",
            "a novel i read years ago",
            // Subjects.
            "europe since 1945",
            "germany after 1945",
            "europe between 1914 and 1918",
            "germany from 1939 to 1945",
            "berlin of the 1920s",
            "history books since 1945",
            "history of the english language",
            "spanish language workbook",
            "budget travel",
            "affordable housing",
            "knitting for babies",
            "a story about a 16 year old assassin",
            // Titles and places.
            "mad max 2",
            "30 under 30",
            "ice age 2",
            "dragon age 2",
            "new zealand fiction",
            "new york novels",
            "new moon book",
            "kids under 10",
        ] {
            assert_eq!(read(query), (query.to_owned(), vec![]), "{query}");
        }
    }

    #[test]
    fn a_kind_that_is_taken_away_is_words() {
        let ignored = ["best".to_owned(), "year".to_owned()];
        assert_eq!(wishes("best fantasy 2010", &ignored), None);
        let found = wishes("best fantasy 2010", &ignored[1..]).expect("the best are still wished for");
        assert_eq!((found.rest.as_str(), found.wishes.as_slice()), ("fantasy 2010", [Wish::Best].as_slice()));
    }
}
