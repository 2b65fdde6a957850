//! Queries made from the catalogue itself: kinds of what readers type that no judged list has. Each with what is right for
//! it, which the catalogue says: the book whose title was joined, the volume whose number was asked for.
//!
//! They are the same for the same file of books. That they were made is their weakness: they show that a kind is
//! understood, and that it falls, not how often readers type it.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::Deserialize;

/// Queries of one kind.
const EACH: usize = 150;
/// Right titles that nothing may be proposed for.
const RIGHT: usize = 1_000;
/// Books that fewer have rated are too little known to be typed carelessly.
const READ: u64 = 5_000;

/// A book, as the file of books says it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Book {
    pub(crate) source_id: String,
    title: String,
    #[serde(default)]
    authors: Vec<String>,
    #[serde(default)]
    year: Option<i64>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    isbn13: Option<String>,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    series: Option<String>,
    #[serde(default)]
    series_pos: Option<String>,
    #[serde(default)]
    rating_count: Option<u64>,
    #[serde(default)]
    description: Option<String>,
}

/// What is right for a query.
#[derive(Debug, Clone)]
pub(crate) enum Right {
    /// One of these books.
    Books(Vec<String>),
    /// The shop says that it has no book of this number.
    UnknownIsbn,
    /// Nothing is proposed instead.
    NoProposal,
}

/// A query of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) kind: &'static str,
    pub(crate) query: String,
    pub(crate) right: Right,
}

/// Reads the books.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn books(file: &Path) -> Result<Vec<Book>> {
    let file = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// Makes a query of one kind from a book, and what is right for it.
type Make<'a> = fn(&Maker<'a>, &Book, &mut StdRng) -> Option<(String, Right)>;

/// All probes of a catalogue, kind by kind.
pub(crate) fn probes<'a>(books: &'a [Book]) -> Vec<Probe> {
    let maker = Maker::new(books);
    let kinds: [(&'static str, Make<'a>); 15] = [
        ("joined words", Maker::joined),
        ("split words", Maker::split),
        ("a slip in a title", Maker::slip),
        ("a wrong word that is one", Maker::wrong_word),
        ("author", Maker::author),
        ("author, initials", Maker::initials),
        ("title of stop words, author", Maker::stop_words),
        ("series and number", Maker::volume),
        ("book with a study guide", Maker::guided),
        ("quotes in a long text", Maker::quoted),
        ("unknown ISBN", Maker::unknown_isbn),
        ("best of a subject and year", Maker::best),
        ("author in a language", Maker::language),
        ("age and subject", Maker::age),
        ("like another", Maker::like),
    ];
    let mut probes = Vec::new();
    for (at, (kind, make)) in (0_u64..).zip(kinds) {
        let mut random = StdRng::seed_from_u64(at);
        let mut order: Vec<&Book> = books.iter().filter(|book| book.readers() >= READ).collect();
        order.shuffle(&mut random);
        let mut seen = Vec::new();
        for book in order {
            if seen.len() == EACH {
                break;
            }
            if let Some((query, right)) = make(&maker, book, &mut random).filter(|(query, _)| !seen.contains(query)) {
                seen.push(query.clone());
                probes.push(Probe { kind, query, right });
            }
        }
    }
    let mut random = StdRng::seed_from_u64(99);
    let mut order: Vec<&Book> = books.iter().collect();
    order.shuffle(&mut random);
    probes.extend(order.into_iter().filter(|book| !main(&book.title).is_empty()).take(RIGHT).map(|book| Probe {
        kind: "right title",
        query: book.title.clone(),
        right: Right::NoProposal,
    }));
    probes
}

impl Book {
    fn readers(&self) -> u64 {
        self.rating_count.unwrap_or_default()
    }

    fn has_subject(&self, names: &[&str]) -> bool {
        self.subjects.iter().any(|subject| names.contains(&subject.as_str()))
    }
}

/// A title without what follows a colon or a bracket.
fn main(title: &str) -> &str {
    title.split([':', ';', '(', '[']).next().unwrap_or(title).trim()
}

fn lower_words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace(['\'', '’'], "");
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn form(text: &str) -> String {
    lower_words(text).concat()
}

struct Maker<'a> {
    books: &'a [Book],
    /// By the form of the title's main part.
    titled: HashMap<String, Vec<&'a Book>>,
    by_author: HashMap<&'a str, Vec<&'a Book>>,
    by_series: BTreeMap<&'a str, Vec<&'a Book>>,
    /// Words of titles, and how many have them.
    words: HashMap<String, u32>,
}

impl<'a> Maker<'a> {
    fn new(books: &'a [Book]) -> Self {
        let mut maker = Self {
            books,
            titled: HashMap::new(),
            by_author: HashMap::new(),
            by_series: BTreeMap::new(),
            words: HashMap::new(),
        };
        for book in books {
            maker.titled.entry(form(main(&book.title))).or_default().push(book);
            for author in &book.authors {
                maker.by_author.entry(author).or_default().push(book);
            }
            if let Some(series) = &book.series {
                maker.by_series.entry(series).or_default().push(book);
            }
            for word in lower_words(&book.title) {
                *maker.words.entry(word).or_default() += 1;
            }
        }
        maker
    }

    /// Every book of this title.
    fn same(&self, book: &Book) -> Right {
        let same = self.titled.get(&form(main(&book.title))).into_iter().flatten();
        Right::Books(same.map(|book| book.source_id.clone()).collect())
    }

    fn joined(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let words = lower_words(main(&book.title));
        if !(2..=4).contains(&words.len()) || !book.title.is_ascii() {
            return None;
        }
        // All together, or two neighbours of three and more.
        let query = if words.len() == 2 || random.random_bool(0.5) {
            words.concat()
        } else {
            let at = random.random_range(0..words.len() - 1);
            let mut words = words;
            let next = words.remove(at + 1);
            words[at].push_str(&next);
            words.join(" ")
        };
        Some((query, self.same(book)))
    }

    fn split(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let mut words = lower_words(main(&book.title));
        let at = words.iter().position(|word| word.len() >= 8 && word.is_ascii())?;
        let cut = random.random_range(3..=words[at].len() - 3);
        words[at].insert(cut, ' ');
        Some((words.join(" "), self.same(book)))
    }

    fn slip(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let words = lower_words(main(&book.title));
        if words.len() < 2 || !book.title.is_ascii() {
            return None;
        }
        let mut letters: Vec<char> = words.join(" ").chars().collect();
        if letters.len() < 10 {
            return None;
        }
        let at = random.random_range(1..letters.len() - 1);
        if letters[at] == ' ' || letters[at + 1] == ' ' {
            return None;
        }
        match random.random_range(0..4) {
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, char::from(random.random_range(b'a'..=b'z'))),
            2 => letters[at] = char::from(random.random_range(b'a'..=b'z')),
            _ => letters.swap(at, at + 1),
        }
        Some((letters.into_iter().collect(), self.same(book)))
    }

    /// One word is another word of titles: sea, see.
    fn wrong_word(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let mut words = lower_words(main(&book.title));
        if words.len() < 3 || !book.title.is_ascii() {
            return None;
        }
        let at = random.random_range(0..words.len());
        let word = words[at].clone();
        if word.len() < 3 {
            return None;
        }
        let others = (0..word.len()).flat_map(|place| (b'a'..=b'z').map(move |letter| (place, char::from(letter))));
        let other = others
            .map(|(place, letter)| {
                let mut other: Vec<char> = word.chars().collect();
                other[place] = letter;
                other.into_iter().collect::<String>()
            })
            .find(|other| *other != word && self.words.get(other).is_some_and(|count| *count >= 5))?;
        words[at] = other;
        Some((words.join(" "), self.same(book)))
    }

    /// The best known of an author with three books or more.
    fn best_known(&self, author: &str) -> Option<&'a Book> {
        let books = self.by_author.get(author).filter(|books| books.len() >= 3)?;
        books.iter().copied().max_by_key(|book| book.readers())
    }

    fn author(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        let author = book.authors.first()?;
        let best = self.best_known(author)?;
        Some((author.to_lowercase(), self.same(best)))
    }

    fn initials(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        let author = book.authors.first()?;
        let dots = author.matches('.').count();
        let best = self.best_known(author).filter(|_| dots > 0)?;
        Some((author.to_lowercase().replace(". ", "").replace('.', if dots > 1 { "" } else { " " }), self.same(best)))
    }

    fn stop_words(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        const SHORT: usize = 5;
        let author = book.authors.first()?;
        let title = main(&book.title).to_lowercase();
        let is_short = title.len() <= SHORT || title.split(' ').all(|word| word.len() <= 3);
        is_short.then(|| {
            let of_author = self.titled.get(&form(&title)).into_iter().flatten();
            let same = of_author.filter(|other| other.authors.contains(author)).map(|other| other.source_id.clone());
            (format!("{title} {}", author.to_lowercase()), Right::Books(same.collect()))
        })
    }

    fn volume(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let (series, number) = (book.series.as_ref()?, book.series_pos.as_ref()?);
        if !number.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let all = self.by_series.get(series.as_str()).filter(|all| all.len() >= 3)?;
        let same = all.iter().filter(|other| other.series_pos.as_ref() == Some(number));
        let right = same.map(|other| other.source_id.clone()).collect();
        let name = series.to_lowercase();
        let query = match random.random_range(0..4) {
            0 => format!("{name} {number}"),
            1 => format!("{name} #{number}"),
            2 => format!("{name} book {number}"),
            _ => format!("{} vol. {number}", name.trim_start_matches("the ")),
        };
        Some((query, Right::Books(right)))
    }

    /// Another record's title says this one's and that it is about it.
    fn guided(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        const ABOUT: [&str; 6] = ["summary", "study guide", "companion", "sparknotes", "cliffsnotes", "guide to"];
        let title = main(&book.title).to_lowercase();
        let is_about = |other: &Book| {
            let other = other.title.to_lowercase();
            other.contains(&title) && ABOUT.iter().any(|word| other.contains(word)) && !title.contains("guide")
        };
        let words = title.split(' ').count();
        (words >= 2 && self.books.iter().any(is_about)).then(|| {
            (
                format!("{title} {}", book.authors.first().map_or(String::new(), |name| name.to_lowercase())),
                self.same(book),
            )
        })
    }

    /// A sentence of the description, of which words that stand apart are in quotation marks.
    fn quoted(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        let description = book.description.as_ref().filter(|_| book.language.as_deref() == Some("en"))?;
        let sentence = description.split(['.', '!', '?']).map(str::trim).find(|text| {
            let words = lower_words(text).len();
            (14..30).contains(&words)
        })?;
        let words = lower_words(sentence);
        let long: Vec<&String> = words.iter().filter(|word| word.len() > 5).collect();
        let (first, last) = (long.first()?, long.last().filter(|_| long.len() >= 4)?);
        Some((
            format!("a book where {} and I think somebody said \"{last} {first}\"", words.join(" ")),
            self.same(book),
        ))
    }

    fn unknown_isbn(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        let known = book.isbn13.as_ref()?;
        let mut digits: Vec<u32> = known.chars().filter_map(|c| c.to_digit(10)).collect();
        if digits.len() != 13 {
            return None;
        }
        digits[8] = (digits[8] + 3) % 10;
        digits[10] = (digits[10] + 4) % 10;
        let sum: u32 = digits[..12].iter().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
        digits[12] = (10 - sum % 10) % 10;
        let text: String = digits.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect();
        if self.books.iter().any(|other| other.isbn13.as_deref() == Some(&text)) {
            return None;
        }
        let query = match random.random_range(0..3) {
            0 => text,
            1 => format!("{} {} paperback", &text[..3], &text[3..]),
            _ => format!("ISBN {text}"),
        };
        Some((query, Right::UnknownIsbn))
    }

    fn best(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        const SUBJECTS: [&str; 8] = [
            "Fantasy",
            "Mystery",
            "Romance",
            "Science Fiction",
            "Historical Fiction",
            "Horror",
            "Thriller",
            "Biography",
        ];
        let subject = SUBJECTS[random.random_range(0..SUBJECTS.len())];
        let year = book.year.filter(|year| (1990..=2019).contains(year))?;
        let right = self.books.iter().filter(|other| other.year == Some(year) && other.has_subject(&[subject]));
        Some((format!("best {} {year}", subject.to_lowercase()), ids(right)))
    }

    fn language(&self, book: &Book, _: &mut StdRng) -> Option<(String, Right)> {
        const NAMES: [(&str, &str); 9] = [
            ("es", "spanish"),
            ("fr", "french"),
            ("de", "german"),
            ("pt", "portuguese"),
            ("it", "italian"),
            ("ja", "japanese"),
            ("ar", "arabic"),
            ("ru", "russian"),
            ("nl", "dutch"),
        ];
        let author = book.authors.first()?;
        let books = self.by_author.get(author.as_str())?;
        let (code, name) =
            NAMES.iter().find(|(code, _)| books.iter().any(|book| book.language.as_deref() == Some(code)))?;
        let right = books.iter().copied().filter(|book| book.language.as_deref() == Some(code));
        Some((format!("{} in {name}", author.to_lowercase()), ids(right)))
    }

    fn age(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        const SUBJECTS: [&str; 12] = [
            "Animals",
            "Dinosaurs",
            "Horses",
            "Dragons",
            "Magic",
            "Humor",
            "Adventure",
            "Mystery",
            "Fairy Tales",
            "Dogs",
            "Cats",
            "Space",
        ];
        const CHILDREN: [&str; 8] = [
            "Childrens",
            "Picture Books",
            "Middle Grade",
            "Juvenile",
            "Juvenile Fiction",
            "Kids",
            "Chapter Books",
            "Children's Books",
        ];
        const GROWN: [&str; 4] = ["Adult", "Adult Fiction", "Young Adult", "Erotica"];
        let subject =
            SUBJECTS.into_iter().find(|subject| book.has_subject(&[subject]) && book.has_subject(&CHILDREN))?;
        let age = random.random_range(4..=11);
        let right = self.books.iter().filter(|other| {
            other.has_subject(&[subject]) && other.has_subject(&CHILDREN) && !other.has_subject(&GROWN)
        });
        let subject = subject.to_lowercase();
        let query = match random.random_range(0..3) {
            0 => format!("gift for {age} year old who likes {subject}"),
            1 => format!("{subject} books for {age} year olds"),
            _ => format!("{subject} for ages {age}-{}", age + 2),
        };
        Some((query, ids(right)))
    }

    /// Right is what is of another series and shares most of the subjects.
    fn like(&self, book: &Book, random: &mut StdRng) -> Option<(String, Right)> {
        if book.subjects.len() < 4 || book.readers() < 4 * READ {
            return None;
        }
        let series = book.series.as_ref();
        let own = form(main(&book.title));
        let right = self.books.iter().filter(|other| {
            let shared = other.subjects.iter().filter(|subject| book.subjects.contains(subject)).count();
            let of_series = series.is_some() && other.series.as_ref() == series;
            shared >= 3 && !of_series && form(main(&other.title)) != own
        });
        let title = main(&book.title).to_lowercase();
        let query = if random.random_bool(0.5) { format!("books like {title}") } else { format!("similar to {title}") };
        Some((query, ids(right)))
    }
}

fn ids<'a>(books: impl Iterator<Item = &'a Book>) -> Right {
    Right::Books(books.map(|book| book.source_id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(id: &str, title: &str, series_pos: Option<&str>) -> Book {
        let book = serde_json::json!({
            "source_id": id, "title": title, "authors": ["J.K. Somebody"], "series": "The Harbour Files",
            "series_pos": series_pos, "rating_count": 10_000, "isbn13": "9780441478125",
        });
        serde_json::from_value(book).expect("a book")
    }

    #[test]
    fn what_is_right_is_what_the_catalogue_says() {
        let books = [
            book("1", "The Cold Harbour", Some("1")),
            book("2", "The Warm Harbour", Some("2")),
            book("3", "The Harbourmaster", Some("3")),
        ];
        let probes = probes(&books);
        let of = |kind: &str| probes.iter().filter(move |probe| probe.kind == kind).collect::<Vec<_>>();
        let right = |probe: &Probe| match &probe.right {
            Right::Books(books) => books.clone(),
            _ => Vec::new(),
        };
        assert!(of("joined words").iter().all(|probe| right(probe).len() == 1 && !probe.query.is_empty()));
        assert!(of("series and number").iter().all(|probe| probe.query.ends_with(&right(probe)[0])));
        assert_eq!(of("split words").len(), 1, "one title has a long word");
        assert_eq!(of("right title").len(), 3);
        let isbns = of("unknown ISBN");
        assert!(!isbns.is_empty() && isbns.iter().all(|probe| !probe.query.contains("9780441478125")));
    }
}
