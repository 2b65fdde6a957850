//! What a reader means by a query, as far as its form tells.
//!
//! Pure: no index, no database. Nothing here is an error: an unbalanced quote is a blank, an unknown prefix is a word.
//! What a query names for certain (`author:`, `language:`) narrows; what it only hints at (a year, "in French") may be
//! a title as well (*1984*), so it does no more than help a book up.

use std::{collections::HashSet, ops::Range, sync::LazyLock};

use bookworm_kernel::{Isbn13, IsbnMention, Misprint};
use bookworm_search::is_english;

use super::{
    draft,
    text::{fold, query_words},
};

/// The most characters of a query. A reader who describes a half-forgotten book at length stays far below.
pub(crate) const MAX_CHARS: usize = 4_000;

/// The most values of one prefix; more are plain words.
const MAX_VALUES: usize = 8;
/// The most quoted phrases; more are plain words.
const MAX_PHRASES: usize = 8;

/// A query, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Understood {
    /// The query in plain words, without prefixes, quotes, control characters and words that only carry the question
    /// ("a book about"): what is compared by meaning, and what spelling is checked of.
    pub(crate) text: String,
    /// The same with the words that carry the question, when there are any: they may be a title after all.
    pub(crate) whole: Option<String>,
    /// Whether the words that carry the question announce a description.
    pub(crate) described: bool,
    /// An ISBN that stands in it, in any notation.
    pub(crate) isbn: Option<Isbn13>,
    /// A number that would be an ISBN but for a digit, when there is no ISBN.
    pub(crate) misprint: Option<Misprint>,
    /// Every folded word of [`Self::text`] in order, repeats and stop words included.
    pub(crate) all: Vec<String>,
    /// The words that tell something: without stop words and repeats, unless nothing else is left.
    pub(crate) words: Vec<String>,
    /// Quoted phrases, folded, each of one word or more: a book must have them.
    pub(crate) phrases: Vec<String>,
    /// Values of `title:`.
    pub(crate) title: Vec<String>,
    /// Values of `author:`.
    pub(crate) author: Vec<String>,
    /// Values of `subject:`.
    pub(crate) subject: Vec<String>,
    /// ISO 639 code of `language:`.
    pub(crate) language: Option<String>,
    /// First and last year of `year:`.
    pub(crate) years: Option<(i64, i64)>,
    /// Title and author of "X by Y", folded.
    pub(crate) by: Option<(String, String)>,
    /// A number that may be a year.
    pub(crate) year_hint: Option<i64>,
    /// ISO 639 code of a language that may be the book's.
    pub(crate) language_hint: Option<String>,
    /// What follows the first comma of a short query: it only helps ("Texas, United States").
    pub(crate) aside: Option<String>,
    /// Which of [`STOP_WORDS`] the query is written in.
    pub(crate) stop_words: usize,
}

impl Understood {
    /// Whether it asks for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.isbn.is_none()
            && self.misprint.is_none()
            && self.all.is_empty()
            && self.phrases.is_empty()
            && self.title.is_empty()
            && self.author.is_empty()
            && self.subject.is_empty()
            && self.language.is_none()
            && self.years.is_none()
    }

    /// Whether it describes a book rather than naming it.
    pub(crate) fn is_description(&self) -> bool {
        self.described || self.all.len() >= DESCRIPTION
    }

    /// Whether a book must have the quoted phrases. Who tells a story quotes what somebody may have said, or calls it so.
    pub(crate) fn is_strict(&self) -> bool {
        !self.phrases.is_empty() && !self.is_long()
    }

    /// All that is told, for its meaning.
    pub(crate) fn told(&self) -> String {
        self.aside.as_ref().map_or_else(|| self.text.clone(), |aside| format!("{}, {aside}", self.text))
    }

    /// Whether it is so long that words of asking ("I remember a book") say nothing. Those of an announced description
    /// are taken off already, and what is left may mean them: "a girl who steals books".
    pub(crate) fn is_long(&self) -> bool {
        self.all.len() >= DESCRIPTION
    }
}

/// From this many words on a query describes a book instead of naming it.
const DESCRIPTION: usize = 9;

/// The words of each of the shop's languages that say nothing about a book. English comes first.
pub(crate) static STOP_WORDS: LazyLock<[HashSet<String>; 7]> = LazyLock::new(|| {
    [
        include_str!("../../data/stopwords/en.txt"),
        include_str!("../../data/stopwords/de.txt"),
        include_str!("../../data/stopwords/es.txt"),
        include_str!("../../data/stopwords/fr.txt"),
        include_str!("../../data/stopwords/it.txt"),
        include_str!("../../data/stopwords/nl.txt"),
        include_str!("../../data/stopwords/pt.txt"),
    ]
    .map(|list| query_words(list).into_iter().collect())
});

/// Words of those who describe a book ("looking for a novel"), in every language: they say nothing there, but may well
/// be part of a title.
pub(crate) static DESCRIBING: LazyLock<HashSet<String>> =
    LazyLock::new(|| query_words(include_str!("../../data/descriptions.txt")).into_iter().collect());

/// The stop words of the language that these words are most likely of. One language at a time, since `war` and `die` are
/// stop words in German and titles in English; another language than English needs two different ones to be believed.
fn stop_words(words: &[String]) -> usize {
    let distinct: HashSet<&str> = words.iter().map(String::as_str).collect();
    let (mut best, mut most) = (0, 0);
    for (place, list) in STOP_WORDS.iter().enumerate() {
        let n = distinct.iter().filter(|word| list.contains(**word)).count();
        if n > most.max(usize::from(place > 0)) {
            (best, most) = (place, n);
        }
    }
    best
}

/// The code of a language by one of its folded names.
pub(super) fn language_named(word: &str) -> Option<&'static str> {
    include_str!("../../data/languages.txt").lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut parts = line.split(' ');
        let code = parts.next()?;
        parts.any(|name| name == word).then_some(code)
    })
}

/// A piece of a query.
#[derive(Debug, PartialEq)]
enum Piece {
    Word(String),
    Quoted(String),
    /// `name:value` or `name:"value"`.
    Prefixed(Prefix, String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Prefix {
    Author,
    Subject,
    Title,
    Language,
    Year,
}

impl Prefix {
    fn parse(name: &str) -> Option<Self> {
        match fold(name).as_str() {
            "author" => Some(Self::Author),
            "subject" => Some(Self::Subject),
            "title" => Some(Self::Title),
            "language" => Some(Self::Language),
            "year" => Some(Self::Year),
            _ => None,
        }
    }
}

/// Understands a query. Of one with more than [`MAX_CHARS`] characters the beginning counts.
pub(crate) fn understand(query: &str) -> Understood {
    read(query, true)
}

/// Understands a query of which every word counts: one that begins like a question and is a title ("Looking for
/// Alaska").
pub(crate) fn understand_whole(query: &str) -> Understood {
    read(query, false)
}

fn read(query: &str, carried: bool) -> Understood {
    let cleaned: String = query.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { quote(c) }).collect();
    let (number, rest) = take_isbn(&cleaned);
    let (isbn, misprint) = match number {
        Some(Ok(isbn)) => (Some(isbn), None),
        Some(Err(misprint)) => (None, Some(misprint)),
        None => (None, None),
    };
    let mut understood = Understood { isbn, misprint, ..Understood::default() };
    let mut plain: Vec<String> = Vec::new();
    for piece in pieces(&rest) {
        match piece {
            Piece::Word(word) => plain.push(word),
            Piece::Quoted(phrase) => {
                let words = query_words(&phrase);
                if !words.is_empty() && understood.phrases.len() < MAX_PHRASES {
                    understood.phrases.push(words.join(" "));
                }
                plain.push(phrase);
            }
            Piece::Prefixed(prefix, value) => {
                if !take_prefixed(&mut understood, prefix, &value) {
                    plain.push(value);
                }
            }
        }
    }
    understood.text = plain.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let has_number = isbn.is_some() || understood.misprint.is_some();
    if carried
        && understood.phrases.is_empty()
        && let Some((bare, describes)) = without_carriers(&understood.text)
        && (has_number || !query_words(&bare).is_empty())
    {
        understood.described = describes && !query_words(&bare).is_empty();
        understood.whole = Some(std::mem::replace(&mut understood.text, bare));
    }
    if carried && !understood.described && understood.phrases.is_empty() && describes_somebody(&understood.text) {
        understood.described = true;
        understood.whole.get_or_insert_with(|| understood.text.clone());
    }
    if carried
        && !understood.described
        && !has_number
        && understood.phrases.is_empty()
        && let Some((before, behind)) = parted_at_comma(&understood.text)
    {
        let whole = std::mem::replace(&mut understood.text, before);
        understood.whole.get_or_insert(whole);
        understood.aside = Some(behind);
    }
    understood.all = query_words(&understood.text);
    if has_number {
        // "ISBN-13: 978-..." asks for nothing beside the number.
        understood.all.retain(|word| !matches!(word.as_str(), "isbn" | "isbn10" | "isbn13" | "ean" | "10" | "13"));
        if understood.all.is_empty() {
            understood.text.clear();
        }
    }
    understood.stop_words = stop_words(&understood.all);
    understood.words = distinctive(&understood);
    understood.by = by(&understood.text);
    understood.year_hint = year_hint(&understood.all);
    understood.language_hint = language_hint(&understood.all);
    understood
}

/// The words that tell something, each once.
fn distinctive(understood: &Understood) -> Vec<String> {
    let (stop, describing) = (&STOP_WORDS[understood.stop_words], understood.is_long());
    let distinct = |keep: &dyn Fn(&str) -> bool| -> Vec<String> {
        let mut seen = HashSet::new();
        understood.all.iter().filter(|word| keep(word) && seen.insert(word.as_str())).cloned().collect()
    };
    let distinctive = distinct(&|word| !(stop.contains(word) || (describing && DESCRIBING.contains(word))));
    if distinctive.is_empty() { distinct(&|_| true) } else { distinctive }
}

/// What stands before the first comma of a short text, and what behind it.
fn parted_at_comma(text: &str) -> Option<(String, String)> {
    // "1,000 splendid suns"
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut commas = text.match_indices(',').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let (before, behind) =
        commas.find(|(before, behind)| !(is_digit(before.chars().last()) && is_digit(behind.chars().next())))?;
    let (first, others) = (query_words(before), query_words(behind));
    let is_short = first.len() + others.len() < DESCRIPTION;
    let part = |text: &str| text.trim().to_owned();
    (is_short && !first.is_empty() && !others.is_empty()).then(|| (part(before), part(behind)))
}

/// One kind of double quotes for all.
fn quote(c: char) -> char {
    match c {
        '“' | '”' | '„' | '‟' | '«' | '»' | '＂' | '″' => '"',
        c => c,
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('"') {
            // Without its partner a quote is a blank.
            match inner.split_once('"') {
                Some((phrase, after)) => {
                    pieces.push(Piece::Quoted(phrase.to_owned()));
                    rest = after.trim_start();
                }
                None => rest = inner.trim_start(),
            }
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let prefixed = word.split_once(':').and_then(|(name, value)| Some((Prefix::parse(name)?, value)));
        match prefixed {
            Some((prefix, "")) => {
                if let Some((value, after)) = after.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
                    pieces.push(Piece::Prefixed(prefix, value.to_owned()));
                    rest = after.trim_start();
                    continue;
                }
                pieces.push(Piece::Word(word.to_owned()));
            }
            Some((prefix, value)) => pieces.push(Piece::Prefixed(prefix, value.to_owned())),
            None => pieces.push(Piece::Word(word.to_owned())),
        }
        rest = after.trim_start();
    }
    pieces
}

/// Notes a prefixed value; `false` when it cannot be one.
fn take_prefixed(understood: &mut Understood, prefix: Prefix, value: &str) -> bool {
    let names = match prefix {
        Prefix::Author => &mut understood.author,
        Prefix::Subject => &mut understood.subject,
        Prefix::Title => &mut understood.title,
        Prefix::Language => {
            let folded = fold(value);
            let code = language_named(&folded).map(str::to_owned).or_else(|| draft::language(value));
            let taken = code.is_some();
            understood.language = code.or(understood.language.take());
            return taken;
        }
        Prefix::Year => {
            let (from, to) = value.split_once("..").or_else(|| value.split_once('-')).unwrap_or((value, value));
            let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) else { return false };
            if !draft::YEARS.contains(&from) || !draft::YEARS.contains(&to) || from > to {
                return false;
            }
            understood.years = Some((from, to));
            return true;
        }
    };
    let words = query_words(value);
    if words.is_empty() || names.len() == MAX_VALUES {
        return false;
    }
    names.push(words.join(" "));
    true
}

/// Finds an ISBN, whatever stands around it. Returns what is left of the text.
fn take_isbn(text: &str) -> (Option<Result<Isbn13, Misprint>>, String) {
    match Isbn13::find(text) {
        Some(IsbnMention { isbn, place }) => (Some(isbn), format!("{} {}", &text[..place.start], &text[place.end..])),
        None => (None, text.to_owned()),
    }
}

/// Phrases, each in folded words.
type Phrases = Vec<Vec<String>>;

/// The words that carry a question, by what they do.
struct Carriers {
    ask: Phrases,
    article: Phrases,
    kind: Phrases,
    about: Phrases,
    by: Phrases,
    end: Phrases,
    form: Phrases,
    strong: Phrases,
}

static CARRIERS: LazyLock<Carriers> = LazyLock::new(|| {
    let of = |name: &str| {
        let lines = include_str!("../../data/carriers.txt").lines();
        let of_name = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let mut phrases: Phrases = of_name.flat_map(|line| line.split(", ")).map(query_words).collect();
        phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
        phrases
    };
    Carriers {
        ask: of("ask"),
        article: of("article"),
        kind: of("kind"),
        about: of("about"),
        by: of("by"),
        end: of("end"),
        form: of("form"),
        strong: of("strong"),
    }
});

/// How many words the longest of these phrases has that the words begin with; 0 when there is none.
fn begins(words: &[String], phrases: &Phrases) -> usize {
    phrases.iter().find(|phrase| words.starts_with(phrase)).map_or(0, Vec::len)
}

/// The words that name what is wanted and begin to tell of it ("a novel where"): how many, and whether a description
/// follows.
fn announces(words: &[String]) -> Option<(usize, bool)> {
    let mut at = 0;
    while let length @ 1.. = begins(&words[at..], &CARRIERS.article) {
        at += length;
    }
    let kind = begins(&words[at..], &CARRIERS.kind);
    let then = &words[at + kind..];
    match (kind, begins(then, &CARRIERS.about), begins(then, &CARRIERS.by)) {
        (0, ..) | (_, 0, 0) => None,
        (_, 0, by) => Some((at + kind + by, false)),
        (_, about, _) => Some((at + kind + about, true)),
    }
}

/// The text without the words that carry its question, and whether they announce a description; `None` when there are no
/// such words. What is left may be nothing.
fn without_carriers(text: &str) -> Option<(String, bool)> {
    let (words, places): (Vec<String>, Vec<Range<usize>>) = placed_words(text).into_iter().unzip();
    let mut carried = vec![false; words.len()];
    let (mut from, mut to, mut describes) = (0, words.len(), false);
    loop {
        let asks = begins(&words[from..], &CARRIERS.ask);
        if asks > 0 {
            from += asks;
        } else if let Some((length, about)) = announces(&words[from..]) {
            from += length;
            describes |= about;
        } else {
            break;
        }
    }
    // "I'm looking for a book, a girl ...": of what is asked for, the kind says nothing either.
    if from > 0 {
        let mut at = from;
        while let length @ 1.. = begins(&words[at..to], &CARRIERS.article) {
            at += length;
        }
        let kind = begins(&words[at..to], &CARRIERS.kind);
        let comma = kind > 0
            && places.get(at + kind).is_some_and(|next| text[places[at + kind - 1].end..next.start].contains(','));
        if kind > 0 && (comma || at + kind == to) {
            from = at + kind;
        }
    }
    while from < to {
        let ends = CARRIERS.end.iter().find(|phrase| words[from..to].ends_with(phrase)).map_or(0, Vec::len);
        if ends == 0 {
            break;
        }
        to -= ends;
    }
    carried[..from].fill(true);
    carried[to..].fill(true);
    // "a comic about growing up in Iran": what kind of book it is tells something.
    let form = opening_lengths(&words[from..to]).filter(|_| !describes);
    if let Some((article, form, about)) = form {
        carried[from..from + article].fill(true);
        let end = from + article + form;
        carried[end..end + about].fill(true);
        describes = true;
    }
    // "fantasy novel where dragons rule"
    for at in from + 1..to {
        if form.is_none()
            && begins(&words[at..to], &CARRIERS.kind) > 0
            && let Some((length, true)) = announces(&words[at..to])
            && at + length < to
            && !matches!(words[at + 1].as_str(), "with" | "on" | "that" | "who" | "whose" | "which")
        {
            carried[at..at + length].fill(true);
            describes = true;
        }
    }
    if !carried.contains(&true) {
        return None;
    }
    let mut left = String::with_capacity(text.len());
    let mut end = None;
    for (place, _) in places.iter().zip(&carried).filter(|(_, carried)| !**carried) {
        // What stands between two words that stay, stays: it may join them.
        match end {
            Some(end) if places.iter().all(|other| !(end <= other.start && other.end <= place.start)) => {
                left.push_str(&text[end..place.start]);
            }
            Some(_) => left.push(' '),
            None => {}
        }
        left.push_str(&text[place.clone()]);
        end = Some(place.end);
    }
    // A symbol behind the last word may belong to it ("C#").
    if let Some(end) = end {
        left.extend(text[end..].chars().take_while(|c| matches!(c, '#' | '+')));
    }
    Some((left, describes))
}

/// The words of an article, of a form ("novel") and of what begins a description ("about") at the start of these:
/// how many of each. None without a form and a beginning, or when nothing follows.
fn opening_lengths(words: &[String]) -> Option<(usize, usize, usize)> {
    let mut article = 0;
    while let length @ 1.. = begins(&words[article..], &CARRIERS.article) {
        article += length;
    }
    let form = begins(&words[article..], &CARRIERS.form);
    let about = begins(&words[article + form..], &CARRIERS.strong);
    (form > 0 && about > 0 && article + form + about < words.len()).then_some((article, form, about))
}

/// Whether it is somebody or something that a story is about: "a man stranded on Mars", "a scientist who creates a
/// monster". It begins with an indefinite article, says how three distinctive words or more belong together, and has words
/// of the language alone: what has a name in it may be called so ("A Man Called Ove").
fn describes_somebody(text: &str) -> bool {
    const JOINING: [&str; 22] = [
        "who", "whose", "whom", "that", "which", "where", "about", "on", "in", "with", "without", "from", "during",
        "against", "under", "into", "by", "at", "after", "before", "between", "as",
    ];
    let words = query_words(text);
    let Some((first, others)) = words.split_first() else { return false };
    let distinctive = others.iter().filter(|word| !STOP_WORDS[0].contains(*word)).count();
    matches!(first.as_str(), "a" | "an")
        && distinctive >= 3
        && others.iter().skip(1).any(|word| JOINING.contains(&word.as_str()))
        && others.iter().all(|word| is_english(word) || STOP_WORDS[0].contains(word))
}

/// The folded words of a text, and where each stands.
fn placed_words(text: &str) -> Vec<(String, Range<usize>)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = c.is_alphanumeric() || matches!(c, '\'' | '’' | '\u{300}'..='\u{36f}');
        match (start, inside) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let word = query_words(&text[from..at]).concat();
                if !word.is_empty() {
                    words.push((word, from..at));
                }
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// "X by Y" in a short query: the last "by" with words on both sides.
fn by(text: &str) -> Option<(String, String)> {
    let words: Vec<String> = query_words(text);
    if words.len() > 14 {
        return None;
    }
    let at = words.iter().rposition(|word| word == "by")?;
    let (title, author) = (&words[..at], &words[at + 1..]);
    (!title.is_empty() && (1..=5).contains(&author.len())).then(|| (title.join(" "), author.join(" ")))
}

fn year_hint(words: &[String]) -> Option<i64> {
    words.iter().filter(|word| word.len() == 4).find_map(|word| word.parse().ok().filter(|y| (1000..=2100).contains(y)))
}

/// "in French", "French edition", "French novels": one of a few fixed forms, in a query that is not a long description.
fn language_hint(words: &[String]) -> Option<String> {
    const AFTER: [&str; 9] =
        ["edition", "editions", "translation", "language", "version", "novel", "novels", "book", "books"];
    const BEFORE: [&str; 4] = ["in", "auf", "en", "em"];
    if words.len() > 12 {
        return None;
    }
    words.iter().enumerate().find_map(|(i, word)| {
        let code = language_named(word)?;
        let before = i > 0 && BEFORE.contains(&words[i - 1].as_str());
        let after = words.get(i + 1).is_some_and(|next| AFTER.contains(&next.as_str()));
        (before || after).then(|| code.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_only_isbn(text: &str) -> bool {
        let u = understand(text);
        u.isbn.is_some() && u.all.is_empty() && u.phrases.is_empty()
    }

    fn isbn(text: &str) -> Option<String> {
        understand(text).isbn.map(|isbn| isbn.to_string())
    }

    #[test]
    fn finds_an_isbn_in_any_notation_and_any_company() {
        for text in [
            "9780441478125",
            "978-0-441-47812-5",
            "978 0 441 47812 5",
            "0-441-47812-3",
            "0441478123",
            "ISBN 0441478123",
            "isbn:978-0-441-47812-5",
            "ISBN-13: 9780441478125",
            "  978\u{2011}0\u{2011}441\u{2011}47812\u{2011}5  ",
            "do you have 0-441-47812-3 in stock?",
            "(9780441478125)",
            "isbn978-0-441-47812-5",
            "isbn139780441478125",
            "９７８０４４１４７８１２５",
            "978.0.441.47812.5",
            "978044147812551495",
            "9780441478125 51495",
            "=\"9780441478125\"",
            "'9780441478125",
            "9780441478125.0",
            "441478123",
        ] {
            assert_eq!(isbn(text).as_deref(), Some("9780441478125"), "{text}");
        }
        assert_eq!(isbn("080442957X").as_deref(), Some("9780804429573"));
        for text in ["ISBN-13: 9780441478125", "isbn978-0-441-47812-5", "9780441478125.0", "=\"9780441478125\""] {
            assert!(is_only_isbn(text), "{text}");
        }
        assert!(!is_only_isbn("9780441478125 darkness"));
        for text in ["1984", "catch 22", "9780441478126", "2001 a space odyssey", "12345", "x0441478123", "04414781234"]
        {
            assert_eq!(isbn(text), None, "{text}");
        }
    }

    #[test]
    fn reads_prefixes_with_and_without_quotes() {
        let u = understand("author:\"Ursula K. Le Guin\" subject:utopias language:French year:1970..1979 wall");
        assert_eq!(u.author, ["ursula k le guin"]);
        assert_eq!(u.subject, ["utopias"]);
        assert_eq!((u.language.as_deref(), u.years), (Some("fr"), Some((1970, 1979))));
        assert_eq!((u.words, u.text), (vec!["wall".to_owned()], "wall".to_owned()));
        assert_eq!(understand("language:pt-BR").language.as_deref(), Some("pt"));
        assert_eq!(understand("TITLE:Emma").title, ["emma"]);
        // What cannot be a value, and what is no prefix of ours, is words.
        let u = understand("year:soon language:? editor:Gaiman author: Lem title:!!");
        assert_eq!((u.years, u.language, u.author.len(), u.title.len()), (None, None, 0, 0));
        assert_eq!(u.words, ["soon", "editor", "gaiman", "author", "lem"].map(String::from));
    }

    #[test]
    fn keeps_phrases_and_tolerates_a_lone_quote() {
        let u = understand("„good omens“ pratchett");
        assert_eq!(u.phrases, ["good omens"]);
        assert_eq!(u.words, ["good", "omens", "pratchett"]);
        for text in ["\"good omens", "good \" omens", "good omens\""] {
            let u = understand(text);
            assert_eq!((u.phrases.len(), u.words.as_slice()), (0, ["good".to_owned(), "omens".to_owned()].as_slice()));
        }
        assert!(understand("\"\" \" \" \"!\"").is_empty());
        assert!(understand(" \u{0}\t ").is_empty());
    }

    #[test]
    fn stop_words_go_unless_nothing_else_is_left() {
        assert_eq!(understand("the name of the rose").words, ["name", "rose"]);
        assert_eq!(understand("Der Name der Rose und das Buch").words, ["name", "rose", "buch"]);
        assert_eq!(understand("war and peace").words, ["war", "peace"]);
        assert_eq!(understand("Die Hard").words, ["die", "hard"]);
        assert_eq!(understand("the book thief").words, ["book", "thief"]);
        let described = understand("I am looking for a book about a girl who steals books in Germany");
        assert_eq!(described.words, ["girl", "steals", "books", "germany"]);
        let query = understand("A girl steals books and a man dies, I think it is in Germany but I am not sure, help");
        assert_eq!(query.words, ["girl", "steals", "man", "dies", "germany", "not"]);
        assert_eq!(understand("It").words, ["it"]);
        assert_eq!(understand("The Who").words, ["the", "who"]);
    }

    #[test]
    fn words_that_carry_the_question_never_count() {
        for (query, text, describes) in [
            ("a book about a man stranded on mars", "a man stranded on mars", true),
            ("novel where a girl steals books", "a girl steals books", true),
            ("book about whales and obsession", "whales and obsession", true),
            ("I'm looking for a book about sailing, please", "sailing", true),
            ("i want to read something about bees", "bees", true),
            ("looking for a story in which nobody dies", "nobody dies", true),
            ("fantasy novel where dragons rule", "fantasy dragons rule", true),
            ("a comic about growing up in Iran", "comic growing up in Iran", true),
            ("graphic novel about the holocaust", "graphic novel the holocaust", true),
            ("a memoir set in Tehran", "memoir Tehran", true),
            ("a man stranded on mars", "a man stranded on mars", true),
            ("a scientist who creates a monster", "a scientist who creates a monster", true),
            ("looking for a mystery in a medieval abbey", "a mystery in a medieval abbey", true),
            ("do you have any books by agatha christie?", "agatha christie", false),
            ("a novel called Beloved", "Beloved", false),
            ("dune paperback", "dune", false),
            ("animal farm in paperback please", "animal farm", false),
            ("looking for C#", "C#", false),
            ("Ich suche ein Buch über Bienen", "Bienen", true),
            ("un livre sur la mer", "la mer", true),
            ("un libro sobre el mar", "el mar", true),
            ("een boek over bijen", "bijen", true),
        ] {
            let u = understand(query);
            assert_eq!((u.text.as_str(), u.described), (text, describes), "{query}");
            assert!(u.whole.is_some(), "{query}");
        }
        for query in [
            "the book thief",
            "the jungle book",
            "a tale of two cities",
            "the story of art",
            "a novel bookstore",
            "books",
            "find me",
            "book of sand",
            "the neverending story",
            "dune",
            "\"a book about\" mars",
            "never let me go",
            "much ado about nothing",
            "about a boy",
            "a thousand splendid suns",
            "a tale of two cities",
            "a room with a view",
            "a bear called paddington",
            "the girl with the dragon tattoo",
            "the mystery of the blue train",
        ] {
            let u = understand(query);
            assert_eq!((u.whole.as_deref(), u.described), (None, false), "{query}");
        }
        // It may be a title after all.
        let u = understand("Looking for Alaska");
        assert_eq!((u.text.as_str(), u.whole.as_deref(), u.described), ("Alaska", Some("Looking for Alaska"), false));
        assert!(is_only_isbn("do you have 9780441478125 in stock?"));
    }

    #[test]
    fn a_number_with_a_wrong_digit_is_told() {
        let u = understand("ISBN 9780804429574");
        let misprint = u.misprint.expect("a wrong check digit");
        assert_eq!((misprint.expected, u.all.len(), u.isbn), ('3', 0, None));
        assert_eq!(understand("1234567890123").misprint, None);
    }

    #[test]
    fn hints_stay_words() {
        let u = understand("1984");
        assert_eq!((u.year_hint, u.words.as_slice()), (Some(1984), ["1984".to_owned()].as_slice()));
        assert_eq!(understand("novels in French").language_hint.as_deref(), Some("fr"));
        assert_eq!(understand("German edition of Momo").language_hint.as_deref(), Some("de"));
        assert_eq!(understand("Der Prozess auf Deutsch").language_hint.as_deref(), Some("de"));
        assert_eq!(understand("The English Patient").language_hint, None);
    }

    #[test]
    fn splits_title_and_author() {
        let by = |text: &str| understand(text).by;
        assert_eq!(by("The Outsider by Stephen King"), Some(("the outsider".into(), "stephen king".into())));
        assert_eq!(by("Stand by Me by Stephen King"), Some(("stand by me".into(), "stephen king".into())));
        for text in ["by Stephen King", "Side by", "dune"] {
            assert_eq!(by(text), None, "{text}");
        }
    }

    #[test]
    fn what_follows_a_comma_only_helps() {
        for (query, text, aside) in [
            ("1,000 splendid suns", "1,000 splendid suns", None),
            ("suns 1,000, splendid", "suns 1,000", Some("splendid")),
            ("Texas, United States", "Texas", Some("United States")),
            ("Salt Lake City, Utah, United States", "Salt Lake City", Some("Utah, United States")),
            ("authors, english", "authors", Some("english")),
            ("Texas,", "Texas,", None),
            (
                "a girl who lives in Texas, with a dog, and her brother who is a priest",
                "a girl who lives in Texas, with a dog, and her brother who is a priest",
                None,
            ),
        ] {
            let u = understand(query);
            assert_eq!((u.text.as_str(), u.aside.as_deref()), (text, aside), "{query}");
        }
        let u = understand("Eat, Pray, Love");
        assert_eq!((u.whole.as_deref(), u.told().as_str()), (Some("Eat, Pray, Love"), "Eat, Pray, Love"));
    }

    #[test]
    fn a_phrase_in_a_story_is_no_must() {
        assert!(understand("\"white whale\" captain").is_strict());
        let long = "looking for a novel where a mad captain with one leg hunts a \"huge white fish\" across the oceans";
        let u = understand(long);
        assert!(!u.is_strict() && u.phrases == ["huge white fish"], "{u:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_understood(query in "\\PC{0,200}") {
            let u = understand(&query);
            prop_assert!(u.words.len() <= u.all.len());
            prop_assert!(u.all.is_empty() == u.words.is_empty());
            prop_assert!(u.all.iter().chain(&u.words).all(|word| word.chars().all(char::is_alphanumeric)));
            prop_assert!(u.phrases.iter().all(|phrase| !phrase.trim().is_empty()));
        }

        #[test]
        fn operators_of_query_languages_are_words_or_nothing(query in "[a-c\":()*~^+\\-!&|\\[\\]{}/\\\\ ]{0,60}") {
            let u = understand(&query);
            prop_assert!(u.isbn.is_none());
            prop_assert!(u.author.is_empty() && u.years.is_none());
        }

        #[test]
        fn every_notation_of_an_isbn_is_found(number in 0_u64..1_000_000_000, before in "[a-z ]{0,12}", hyphens in any::<u16>(), ten in any::<bool>()) {
            let nine = format!("{number:09}");
            let sum: u32 = nine.bytes().zip((2..=10).rev()).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
            let check = char::from_digit((11 - sum % 11) % 11, 10).unwrap_or('X');
            let as_ten = Isbn13::parse(&format!("{nine}{check}")).expect("the check digit is right");
            let digits = if ten { format!("{nine}{check}") } else { as_ten.to_string() };
            let mut spelt = String::new();
            for (i, c) in digits.chars().enumerate() {
                if i > 0 && hyphens >> i & 1 == 1 {
                    spelt.push('-');
                }
                spelt.push(c);
            }
            let u = understand(&format!("{before} {spelt} end"));
            prop_assert_eq!(u.isbn, Some(as_ten));
            prop_assert!(!u.all.contains(&digits.to_lowercase()));
        }

        #[test]
        fn understanding_plain_words_again_changes_nothing(words in proptest::collection::vec("[a-z]{1,8}", 0..8)) {
            let once = understand(&words.join(" "));
            prop_assert_eq!(understand(&once.text), once);
        }
    }
}
