//! How a query is read, in one place: what it names, what it wishes beside its subject, and what is left to search for.
//!
//! First what it names as it stands ([`super::recognise`]): a title that begins like a wish is a title. Then its wishes
//! ([`crate::domain::wishes`]), and what is left may be a name again. What it nearly names is searched for instead, unless
//! the words are meant as typed. A query that is none of these is read as before.

use bookworm_contracts::rest::catalog::{BookSort, Reading, ReadingKind};
use bookworm_kernel::{Currency, Language};
use bookworm_search::{Filter, Index, Phrase, Preference, Request, SearchError};

use super::{
    like::{self, Liked},
    meant::respelt,
    recognise::{Recognised, Way, is_nearly_a_title, recognise},
};
use crate::domain::{
    ages::{Shelf, shelf},
    text::{fold, query_words},
    understand::{Understood, understand},
    wishes::{Wish, wishes},
};

/// What the best suited books for an age are worth more.
const SUITED: f32 = 0.3;

/// How a query is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    pub(crate) understood: Understood,
    /// How its names are read.
    way: Way,
    /// What comes first, or last, by what it names.
    pub(crate) preferences: Vec<Preference>,
    /// What comes first by what is wished.
    pub(crate) suited: Vec<Preference>,
    /// What was wished, and only that is shown while there is any; each with the reading that it belongs to.
    pub(crate) filters: Vec<(ReadingKind, Filter)>,
    pub(crate) sort: Option<BookSort>,
    /// In words for readers.
    pub(crate) readings: Vec<Reading>,
    /// What is searched for instead.
    pub(crate) corrected_to: Option<String>,
    /// The author whose name it is.
    pub(crate) author: Option<String>,
    /// The book that others are to be like.
    pub(crate) liked: Option<Liked>,
}

/// How far a query may be read as something else than its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freedom<'a> {
    /// It is searched for as typed.
    pub(crate) exact: bool,
    /// Kinds of readings that the reader has taken away.
    pub(crate) ignored: &'a [String],
    pub(crate) currency: Currency,
}

/// Reads a query, `understood` by its form.
pub(crate) fn read(
    index: &Index,
    query: &str,
    mut understood: Understood,
    freedom: Freedom<'_>,
) -> Result<Read, SearchError> {
    let ignores = |kind: ReadingKind| freedom.ignored.iter().any(|ignored| ignored == kind.name());
    let exactly = Way { tolerant: false, volumes: !ignores(ReadingKind::Volume) };
    let tolerantly = Way { tolerant: true, ..exactly };
    // Words in quotation marks are words like others then.
    if ignores(ReadingKind::Phrase) {
        understood.phrases.clear();
    }
    let mut read = Read { way: exactly, ..Read::default() };
    let mut named = recognise(index, &understood, exactly)?;
    read.understood = understood;
    if !named.is_name
        && !freedom.exact
        && !is_subject(index, query)?
        && let Some(found) = wishes(query, freedom.ignored)
        && !(found.wishes.iter().any(Wish::is_order) && is_of_a_title(index, query)?)
    {
        for wish in &found.wishes {
            read.wish(index, wish, freedom.currency)?;
        }
        if read.liked.is_some() {
            return Ok(read);
        }
        // Of a book that is not known the name is looked for.
        let unknown = found.wishes.iter().find_map(|wish| if let Wish::Like(name) = wish { Some(name) } else { None });
        read.understood = understand(unknown.unwrap_or(&found.rest));
        named = recognise(index, &read.understood, exactly)?;
    }
    if !named.is_name && !freedom.exact {
        named = recognise(index, &read.understood, tolerantly)?;
    }
    if let Some(meant) = named.meant.take().filter(|_| !freedom.exact) {
        read.understood = respelt(&read.understood, &meant);
        let author = named.author.take();
        named = recognise(index, &read.understood, exactly)?;
        named.author = named.author.or(author);
        read.corrected_to = Some(meant);
    }
    let Recognised { preferences, author, series, .. } = named;
    read.preferences = preferences;
    read.author = author;
    if let Some((series, position)) = series {
        let number = position as f64 / 100.0;
        read.note(ReadingKind::Volume, format!("Book {number} of “{series}”"));
    }
    Ok(read)
}

/// Whether a subject is called so: "best friends" are not the best of the friends.
fn is_subject(index: &Index, query: &str) -> Result<bool, SearchError> {
    let of = Filter::keyword("subject_key", [fold(query)]);
    Ok(index.search(&Request { filters: vec![of], limit: 0, ..Request::default() })?.total > 0)
}

/// Whether a longer query stands in a title, or nearly is one: "the best exotic marigold hotel" is not the best of its
/// kind. A few words ("best science fiction") are in many titles.
fn is_of_a_title(index: &Index, query: &str) -> Result<bool, SearchError> {
    const WORDS: usize = 4;
    if query_words(query).len() < WORDS {
        return Ok(false);
    }
    let phrase = Phrase::new(query).field("title", 1.0);
    let said = Request { text: Some(phrase.into()), limit: 0, ..Request::default() };
    Ok(index.search(&said)?.total > 0 || is_nearly_a_title(index, query)?)
}

impl Read {
    fn note(&mut self, kind: ReadingKind, text: String) {
        self.readings.push(Reading { kind, text, is_met: true });
    }

    /// Takes a wish: what it filters, orders or prefers, and what it is called.
    fn wish(&mut self, index: &Index, wish: &Wish, currency: Currency) -> Result<(), SearchError> {
        match wish {
            Wish::Best => {
                self.sort = Some(BookSort::Rating);
                self.note(ReadingKind::Best, "Best rated first".to_owned());
            }
            Wish::New => {
                self.sort = Some(BookSort::Newest);
                self.note(ReadingKind::New, "Newest first".to_owned());
            }
            Wish::Cheap => {
                self.sort = Some(BookSort::Price);
                self.note(ReadingKind::Cheap, "Cheapest first".to_owned());
            }
            Wish::AtMost(hundredths) => {
                let most = hundredths.saturating_mul(10_i64.saturating_pow(currency.exponent())) / 100;
                self.filters.push((ReadingKind::Price, Filter::number("price", None, Some(most))));
                let (units, part) = (hundredths / 100, hundredths % 100);
                let amount = if part == 0 { units.to_string() } else { format!("{units}.{part:02}") };
                self.note(ReadingKind::Price, format!("Up to {amount} {}", currency.code()));
            }
            Wish::Years(from, to) => {
                self.filters.push((ReadingKind::Year, Filter::number("year", Some(*from), Some(*to))));
                self.note(ReadingKind::Year, years(*from, *to));
            }
            Wish::Language(code) => {
                self.filters.push((ReadingKind::Language, Filter::keyword("language", [code.as_str()])));
                let name = Language::parse(code).map_or(code.as_str(), |language| language.name());
                self.note(ReadingKind::Language, format!("In {name}"));
            }
            Wish::Age(from, to) => {
                let Shelf { any_of, best, none_of } = shelf(*from, *to);
                let subjects = |names: &[&str]| Filter::keyword("subject_key", names.iter().copied());
                let of_age = [subjects(&any_of), Filter::Not(Box::new(subjects(&none_of)))];
                self.filters.extend(of_age.map(|filter| (ReadingKind::Age, filter)));
                self.suited.push(Preference::new(vec![subjects(&best)], SUITED));
                let ages = if from == to { format!("For age {from}") } else { format!("For ages {from} to {to}") };
                self.note(ReadingKind::Age, ages);
            }
            Wish::Like(name) => {
                self.liked = like::liked(index, name)?;
                if let Some(liked) = &self.liked {
                    let text = format!("Like {}", liked.title);
                    self.note(ReadingKind::Like, text);
                }
            }
        }
        Ok(())
    }

    /// The same in another spelling, which is searched for instead.
    pub(crate) fn respelt(mut self, index: &Index, text: String) -> Result<Self, SearchError> {
        self.understood = respelt(&self.understood, &text);
        let named = recognise(index, &self.understood, self.way)?;
        (self.preferences, self.author) = (named.preferences, named.author);
        self.corrected_to = Some(text);
        Ok(self)
    }

    /// The order that is asked for: an order that was chosen counts more than one that was typed.
    pub(crate) fn sort_of(&self, chosen: BookSort) -> BookSort {
        self.sort.filter(|_| chosen == BookSort::Relevance).unwrap_or(chosen)
    }

    /// No book has these quoted phrases: their words are looked for.
    pub(crate) fn drop_phrases(&mut self, missing: Vec<String>) {
        self.understood.phrases.retain(|phrase| !missing.contains(phrase));
        for phrase in missing {
            self.readings.push(Reading { kind: ReadingKind::Phrase, text: format!("“{phrase}”"), is_met: false });
        }
    }

    /// The kinds of wishes that filter, each once.
    pub(crate) fn filtering(&self) -> Vec<ReadingKind> {
        let mut kinds: Vec<ReadingKind> = self.filters.iter().map(|(kind, _)| *kind).collect();
        kinds.dedup();
        kinds
    }

    /// The same with only the filters of one kind.
    pub(crate) fn with_only(&self, only: ReadingKind) -> Self {
        let mut read = self.clone();
        read.filters.retain(|(kind, _)| *kind == only);
        read
    }

    /// Takes wishes of these kinds away that filter, since no book meets them: what does comes first.
    pub(crate) fn give_way(&mut self, kinds: &[ReadingKind]) {
        const MET: f32 = 0.5;
        let gone = self.filters.extract_if(.., |(kind, _)| kinds.contains(kind));
        self.suited.extend(gone.map(|(_, filter)| Preference::new(vec![filter], MET)));
        for reading in self.readings.iter_mut().filter(|reading| kinds.contains(&reading.kind)) {
            reading.is_met = false;
        }
    }
}

fn years(from: i64, to: i64) -> String {
    match (from, to) {
        (0, to) => format!("Published before {}", to + 1),
        (from, 2100) => format!("Published since {from}"),
        (from, to) if from == to => format!("Published in {from}"),
        (from, to) => format!("Published {from} to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::years;

    #[test]
    fn years_are_said_as_readers_do() {
        for (from, to, text) in [
            (2010, 2010, "Published in 2010"),
            (1990, 1999, "Published 1990 to 1999"),
            (0, 1949, "Published before 1950"),
            (2015, 2100, "Published since 2015"),
        ] {
            assert_eq!(years(from, to), text);
        }
    }
}
