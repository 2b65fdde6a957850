//! From an understood query to a request to the index: what must match, what helps, what weighs how much.
//!
//! Every number here was chosen by measuring, on queries of many kinds; `docs/search.md` says how, and what each rule
//! is worth.

use std::{collections::HashSet, sync::LazyLock};

use bookworm_kernel::Isbn13;
use bookworm_search::{
    Combine, Curve, Facet, Feedback, Filter, Fusion, Fuzziness, Highlighting, Meaning, Minimum, Phrase, Preference,
    Prior, Query, Related, Request, Response, Sort, StopWords, Sure, Synonym, Words, is_english, of_place,
};

use super::meant::Better;
use crate::{
    domain::{
        script::is_foreign,
        text::{fold, title_key},
        understand::{self, Understood},
    },
    store::find::PRICES,
};

/// Which sides of the search take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Both.
    #[default]
    Hybrid,
    /// Words alone.
    Text,
    /// Meaning alone.
    Meaning,
}

/// The most values of one facet.
pub(crate) const FACET_VALUES: usize = 10;

/// What is asked of the index beside the query itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) mode: Mode,
    pub(crate) filters: Vec<Filter>,
    pub(crate) sort: Sort,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) explain: bool,
    /// The query's vector, when there is one.
    pub(crate) vector: Option<Vec<f32>>,
    pub(crate) synonyms: Vec<Synonym>,
    /// Words are looked for as they are typed, and nothing that is only spelt like them.
    pub(crate) exact: bool,
    /// What comes first, or last, because of what the query was recognised as.
    pub(crate) preferences: Vec<Preference>,
}

/// How long a query is decides how it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    /// The share of the words, weighed by how rare they are, that a book must have.
    share: f32,
    /// The share that is enough for the best. Not when the list is in another order than that of relevance: there what
    /// matches a little would come first as well.
    loosely: f32,
    /// How the fields count together, and their boosts; none: those of the schema.
    combine: Combine,
    fields: &'static [(&'static str, f32)],
    /// Weights of the two sides.
    text: f32,
    meaning: f32,
    /// How much more a name counts than a word of the language.
    names: f32,
    /// Bonus of words that stand together.
    phrase: f32,
    /// Bonus of three words or more that a text says as they were typed.
    run: f32,
    /// How many readers make a book well known, and how much that is preferred, on the sides.
    readers: Curve,
    prior_text: f32,
    prior_meaning: f32,
    /// How near a book must be that only meaning finds.
    floor: f32,
    /// What the best by their words say of what is meant.
    feedback: Option<Feedback>,
    /// Whether a place is looked for by its adjective too, and the other way round.
    places: bool,
    /// What a book is worth whose series is that of a book with the words, of what that one is.
    related: f32,
}

/// Words that name something mean little to a model: the books that bear them mean more.
const FEEDBACK: Feedback = Feedback { documents: 10, weight: 0.5 };

/// Among names that fit alike the better known is meant; every tenfold adds the same.
const KNOWN: Curve = Curve::Log { full: 5_000_000.0 };
/// Who describes a book has read it: what a million people read is described a hundred times as often as what ten thousand
/// did. Half a million is half way.
const READ: Curve = Curve::Saturation { pivot: 500_000.0 };

/// Names: titles, authors, a subject.
const NAME: Shape = Shape {
    share: 0.6,
    loosely: 0.2,
    combine: Combine::Best { tie: 0.1 },
    fields: &[],
    text: 1.0,
    meaning: 0.6,
    names: 0.0,
    phrase: 0.5,
    run: 1.0,
    readers: KNOWN,
    prior_text: 0.25,
    prior_meaning: 0.15,
    floor: 0.35,
    feedback: Some(FEEDBACK),
    places: false,
    related: 0.8,
};
/// A few words about it.
const TOPIC: Shape = Shape {
    share: 0.4,
    loosely: 0.2,
    combine: Combine::Together,
    fields: &[
        ("title", 1.0),
        ("authors", 1.0),
        ("series", 1.0),
        ("subjects", 1.0),
        ("publisher", 0.1),
        ("description", 1.0),
    ],
    text: 1.0,
    meaning: 1.0,
    names: 0.0,
    phrase: 0.5,
    run: 0.5,
    readers: KNOWN,
    prior_text: 0.15,
    prior_meaning: 0.1,
    floor: 0.3,
    feedback: Some(FEEDBACK),
    places: true,
    related: 0.7,
};
/// A description. Who remembers a book remembers some things wrongly: the best need no share of the words. That a word
/// of it is in a title says little; what a reader would call the book by says more.
const DESCRIPTION: Shape = Shape {
    share: 0.15,
    loosely: 0.0,
    combine: Combine::Together,
    fields: &[
        ("title", 0.6),
        ("authors", 1.5),
        ("series", 2.0),
        ("subjects", 2.5),
        ("publisher", 0.1),
        ("description", 1.0),
    ],
    text: 0.6,
    meaning: 1.0,
    names: 0.0,
    phrase: 0.5,
    run: 0.5,
    readers: READ,
    prior_text: 0.4,
    prior_meaning: 0.3,
    floor: 0.2,
    feedback: None,
    places: true,
    related: 0.0,
};

/// A few words that say what it is about, announced as such: meaning counts more than for a name, and a title may say it,
/// but hardly an author's name: a book about a butler is not one by Octavia Butler.
const DESCRIBED: Shape = Shape {
    share: 0.4,
    loosely: 0.1,
    combine: Combine::Together,
    fields: &[
        ("title", 1.5),
        ("authors", 0.1),
        ("series", 1.0),
        ("subjects", 1.0),
        ("publisher", 0.1),
        ("description", 1.0),
    ],
    text: 0.8,
    meaning: 1.0,
    names: 0.5,
    phrase: 0.5,
    run: 0.5,
    readers: READ,
    prior_text: 0.6,
    prior_meaning: 0.3,
    floor: 0.3,
    feedback: None,
    places: true,
    related: 0.0,
};

fn shape(understood: &Understood) -> Shape {
    match understood.words.len() {
        ..=8 if understood.described => DESCRIBED,
        ..=4 => NAME,
        5..=8 => TOPIC,
        _ => DESCRIPTION,
    }
}

/// Whether it names a book rather than telling of one.
pub(crate) fn is_name(understood: &Understood) -> bool {
    let has_name = || understood.words.iter().any(|word| !is_english(word));
    !understood.described
        && understood.language_hint.is_none()
        && match understood.words.len() {
            1 if has_article(understood) => true,
            2..=3 => true,
            // A word of the language alone is a subject, and so many of them tell of something.
            1 | 4 => has_name(),
            _ => false,
        }
}

/// Whether it is one word with the definite article: nobody types the article of a subject, but many that of a title.
pub(crate) fn has_article(understood: &Understood) -> bool {
    matches!(understood.all.as_slice(), [article, word] if article == "the" && understood.words == [word.as_str()])
}

/// Whether it has a word that is neither one of the language nor a place: somebody's name, or one that a title made up.
fn is_proper(understood: &Understood) -> bool {
    understood.words.iter().any(|word| !is_english(word) && of_place(word).is_empty())
}

/// Whether meaning may take part. What is quoted or prefixed is meant to the letter.
pub(crate) fn has_meaning(understood: &Understood) -> bool {
    !understood.is_strict()
        && understood.author.is_empty()
        && understood.subject.is_empty()
        && understood.title.is_empty()
        && !understood.all.is_empty()
}

/// The request that answers the query.
pub(crate) fn request(understood: &Understood, wanted: Wanted) -> Request {
    let shape = shape(understood);
    let minimum = match wanted.sort {
        Sort::Relevance => Minimum::ShareOrBest { share: shape.share, loosely: shape.loosely, best: LOOSELY },
        _ => Minimum::Share(shape.share),
    };
    let mut filters = wanted.filters;
    if let Some(language) = &understood.language {
        filters.push(Filter::keyword("language", [language.as_str()]));
    }
    if let Some((from, to)) = understood.years {
        filters.push(Filter::number("year", Some(from), Some(to)));
    }
    let meaning = wanted
        .vector
        .filter(|_| wanted.mode != Mode::Text && has_meaning(understood))
        .map(|vector| Meaning { vector, candidates: CANDIDATES, minimum: shape.floor, feedback: shape.feedback });
    let text = match wanted.mode {
        Mode::Meaning if meaning.is_some() => None,
        _ => text(understood, shape, minimum, wanted.synonyms, wanted.exact),
    };
    let asks = text.is_some() || meaning.is_some();
    Request {
        text,
        meaning,
        filters,
        related: related(understood, shape, &wanted.sort),
        fusion: Fusion::Weighted { text_weight: shape.text, meaning_weight: shape.meaning },
        priors: vec![Prior {
            field: "readers".to_owned(),
            curve: shape.readers,
            text: if asks { shape.prior_text } else { 1.0 },
            meaning: shape.prior_meaning,
        }],
        preferences: wanted.preferences,
        sort: wanted.sort,
        offset: wanted.offset,
        limit: wanted.limit,
        facets: facets(),
        highlight: asks.then(highlighting),
        explain: wanted.explain,
    }
}

/// Counts the books that say these words in a row.
pub(crate) fn said(text: &str) -> Request {
    Request { text: Some(Phrase::new(text).into()), limit: 0, ..Request::default() }
}

/// The nearest by meaning, when no book has the words.
pub(crate) fn nearest(vector: Vec<f32>, filters: Vec<Filter>, minimum: f32, offset: usize, limit: usize) -> Request {
    Request {
        meaning: Some(Meaning { candidates: NEAREST, minimum, ..Meaning::new(vector) }),
        filters,
        offset,
        limit,
        facets: facets(),
        highlight: Some(highlighting()),
        ..Request::default()
    }
}

/// Whether another spelling is looked for: nothing is what was asked for.
pub(crate) fn may_be_misspelt(response: &Response) -> bool {
    response.sure.is_none_or(|sure| sure == 0)
}

/// What is searched for instead: a spelling that clearly finds what was asked for, unless the words are meant as typed.
pub(crate) fn replacement(better: &Better, exact: bool) -> Option<&str> {
    (better.is_clear && !exact).then_some(better.text.as_str())
}

/// Whether no book has the words, so that the nearest by meaning are offered.
pub(crate) fn has_no_words(response: &Response) -> bool {
    response.text_total == 0
}

/// What is said of a search that found nothing sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The query is a name, and the shop does not have it.
    pub(crate) missing: bool,
    /// What is shown is only near to it.
    pub(crate) nearest: bool,
}

/// `total`: how many are what was asked for. `by_meaning`: no book had the words, and the nearest by meaning are shown.
pub(crate) fn verdict(understood: &Understood, response: &Response, total: usize, by_meaning: bool) -> Verdict {
    let none = total == 0 && response.sure.is_some();
    let is_name = is_name(understood);
    Verdict { missing: none && is_name, nearest: by_meaning || (none && !is_name && !response.hits.is_empty()) }
}

/// What a word behind a comma is worth.
const ASIDE: f32 = 0.5;
/// How many of the nearest take part.
const CANDIDATES: usize = 200;
/// How many books with few of the words are ranked with the others.
const LOOSELY: usize = 500;
/// How many of the best bring their series.
const RELATED: usize = 20;
/// How many are offered when nothing has the words.
const NEAREST: usize = 20;
/// How many books are looked at for an author or a title whose name is like the query.
const ALIKE: usize = 100;

/// The series of what a few words find: one volume's text names the detective, and all are meant. Not of what is meant
/// to the letter.
fn related(understood: &Understood, shape: Shape, sort: &Sort) -> Option<Related> {
    let is_open = has_meaning(understood) && understood.isbn.is_none() && *sort == Sort::Relevance;
    (is_open && shape.related > 0.0).then(|| Related {
        field: "series_key".to_owned(),
        documents: RELATED,
        weight: shape.related,
    })
}

pub(super) fn facets() -> Vec<Facet> {
    let ranges = PRICES.iter().enumerate().map(|(i, from)| *from..=PRICES.get(i + 1).map_or(i64::MAX, |next| next - 1));
    vec![
        Facet::values("subject", FACET_VALUES),
        Facet::values("language", FACET_VALUES),
        Facet::values("author", FACET_VALUES),
        Facet::ranges("price", ranges.collect()),
    ]
}

pub(super) fn highlighting() -> Highlighting {
    Highlighting {
        fields: [("title", 300), ("authors", 200), ("description", 240)].map(|(f, n)| (f.to_owned(), n)).to_vec(),
    }
}

/// The side of the words; `None` when there are none.
fn text(understood: &Understood, shape: Shape, minimum: Minimum, synonyms: Vec<Synonym>, exact: bool) -> Option<Query> {
    let mut must = Vec::new();
    let mut should = Vec::new();
    let phrases = understood.phrases.iter().map(|phrase| Query::from(Phrase::new(phrase.as_str())));
    if understood.is_strict() {
        must.extend(phrases);
    } else {
        should.extend(phrases);
    }
    for (field, values) in
        [("title", &understood.title), ("authors", &understood.author), ("subjects", &understood.subject)]
    {
        for value in values {
            let words = Words::new(value.as_str()).field(field, 1.0).minimum(Minimum::All);
            must.push(Query::from(words.fuzziness(Fuzziness::WhenFewer(1))));
        }
    }
    if !understood.all.is_empty() {
        let places = understood.words.iter().filter(|_| shape.places).filter_map(|word| place(word));
        let numbers = understood.words.iter().filter_map(|word| number(word));
        let synonyms = synonyms.into_iter().chain(places).chain(numbers).collect();
        let mut words = spelt(understood).minimum(minimum).synonyms(synonyms);
        words.names = shape.names;
        if exact {
            words.fuzziness = Fuzziness::Never;
        }
        words.sure = sure(understood);
        words.phrase = shape.phrase;
        words.run = shape.run;
        words.combine = shape.combine;
        words.fields = shape.fields.iter().map(|(field, boost)| ((*field).to_owned(), *boost)).collect();
        // Within quotes and beside prefixes the words are there to rank.
        if must.is_empty() {
            must.push(Query::from(words))
        } else {
            should.push(Query::from(words))
        }
        if let Some(aside) = &understood.aside {
            let mut words = Words::new(aside.as_str()).stop_words(&STOP_WORDS[0][0]).minimum(Minimum::Any);
            words.fuzziness = Fuzziness::Never;
            should.push(Query::from(words).boost(ASIDE));
        }
        if let Some((title, author)) = &understood.by {
            should.push(Query::all(vec![
                Words::new(title.as_str()).field("title", 1.0).minimum(Minimum::All).into(),
                Words::new(author.as_str()).field("authors", 1.0).minimum(Minimum::All).into(),
            ]));
        }
        if let Some(language) = &understood.language_hint {
            should.push(Query::Keyword { field: "language".to_owned(), any_of: vec![language.clone()] }.constant(6.0));
        }
        if let Some(year) = understood.year_hint {
            should.push(Query::Number { field: "year".to_owned(), range: year..=year }.constant(2.0));
        }
    }
    let isbns: Vec<String> = match (&understood.isbn, &understood.misprint) {
        (Some(isbn), _) => vec![isbn.to_string()],
        // Whatever one wrong digit may have been.
        (None, Some(misprint)) => misprint.near.iter().map(ToString::to_string).collect(),
        (None, None) => Vec::new(),
    };
    let isbn = (!isbns.is_empty()).then(|| Query::Keyword { field: "isbn".to_owned(), any_of: isbns });
    if must.is_empty() {
        return isbn;
    }
    let text = if should.is_empty() && must.len() == 1 {
        must.remove(0)
    } else {
        Query::Bool { must, should, must_not: Vec::new(), minimum_should: 0 }
    };
    // The number names one book, whatever else was typed.
    Some(match isbn {
        Some(isbn) => Query::any(vec![isbn.constant(1_000.0), text]),
        None => text,
    })
}

/// A place's adjective for its name, or its name for the adjective.
fn place(word: &str) -> Option<Synonym> {
    let others = of_place(word);
    (!others.is_empty())
        .then(|| Synonym { words: word.to_owned(), alternatives: others.iter().map(ToString::to_string).collect() })
}

/// The word for a number in digits: "50 shades". Not the other way round, for volumes have digits.
fn number(word: &str) -> Option<Synonym> {
    const ONES: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
                        seventeen eighteen nineteen";
    const TENS: &str = "twenty thirty forty fifty sixty seventy eighty ninety hundred";
    let number: usize = word.parse().ok()?;
    let name = match number {
        1..20 => ONES.split(' ').nth(number - 1),
        20..=100 if number.is_multiple_of(10) => TENS.split(' ').nth(number / 10 - 2),
        1_000 => Some("thousand"),
        _ => None,
    }?;
    Some(Synonym { words: word.to_owned(), alternatives: vec![name.to_owned()] })
}

/// For each language the words that say nothing, in names and in descriptions.
static STOP_WORDS: LazyLock<Vec<[StopWords; 2]>> = LazyLock::new(|| {
    understand::STOP_WORDS
        .iter()
        .map(|list| {
            let both: HashSet<&String> = list.iter().chain(understand::DESCRIBING.iter()).collect();
            [StopWords::new(list), StopWords::new(both)]
        })
        .collect()
});

/// The query's words, with what is known of their spelling.
fn spelt(understood: &Understood) -> Words {
    let stop_words = &STOP_WORDS[understood.stop_words][usize::from(understood.is_long())];
    let known = StopWords::new(understood.all.iter().filter(|word| is_english(word) || !of_place(word).is_empty()));
    Words::new(understood.text.as_str()).stop_words(stop_words).known(&known)
}

/// What spelling is checked of; `None` when it is not a query in words.
pub(crate) fn checked(understood: &Understood) -> Option<Words> {
    let few = (1..=CHECKED).contains(&understood.words.len());
    // What is written in other letters is no slip of ours.
    (few && !is_foreign(&understood.text)
        && has_meaning(understood)
        && understood.isbn.is_none()
        && understood.misprint.is_none())
    .then(|| spelt(understood))
}

/// Whether a title says this.
pub(crate) fn titled(text: &str) -> Request {
    Request { text: Some(Phrase::new(text).field("title", 1.0).into()), limit: 1, ..Request::default() }
}

/// The book of this ISBN.
pub(crate) fn numbered(isbn: Isbn13) -> Request {
    let isbn = Filter::keyword("isbn", [isbn.to_string()]);
    Request { filters: vec![isbn], limit: 0, ..Request::default() }
}

/// Whether a title or an author's whole name is this.
pub(crate) fn called(text: &str) -> Request {
    let named = |field: &str, key: String| Query::Keyword { field: field.to_owned(), any_of: vec![key] };
    let text = Query::any(vec![named("title_key", title_key(text, Some("en"))), named("author_key", fold(text))]);
    Request { text: Some(text), limit: 1, ..Request::default() }
}

/// Books that have every word in this field but one, or words that are spelt like them: what is left out may sound like
/// a word that is spelt in quite another way.
pub(crate) fn alike(understood: &Understood, field: &str) -> Request {
    let most = (understood.words.len() - 1).max(1);
    let words = spelt(understood).field(field, 1.0).minimum(Minimum::Count(most)).fuzziness(Fuzziness::Always);
    Request { text: Some(words.into()), limit: ALIKE, highlight: Some(highlighting()), ..Request::default() }
}

/// A corrected query that any book must have every word of.
pub(crate) fn every_word(understood: &Understood, filters: Vec<Filter>) -> Request {
    let words = spelt(understood).minimum(Minimum::All).fuzziness(Fuzziness::Never);
    Request { text: Some(words.into()), filters, limit: 1, ..Request::default() }
}

/// The most words whose spelling is checked: who tells a story repeats what matters.
const CHECKED: usize = 8;
/// Fields by which a book is known.
const NAMES: [&str; 5] = ["title", "authors", "series", "subjects", "publisher"];

/// In how many descriptions a proper name stands that is a subject of its own: a character, somebody's life. Fewer only
/// mention it: a steward who consults *Robinson Crusoe* is not in it.
const MENTIONS: usize = 3;
/// Words of a description that say whom it is about.
const OPENING: u32 = 12;

/// When a book is what was asked for. Two words are a name, or a subject: they are in what a book is known by, or stand
/// together, those of a name where a description begins or in several. So is one with its article. Of more, all must be there somewhere; of those who tell a story, most.
fn sure(understood: &Understood) -> Option<Sure> {
    if !has_meaning(understood) || understood.isbn.is_some() || understood.misprint.is_some() {
        return None;
    }
    let named = |mentions, opening| Sure::Named { fields: NAMES.map(str::to_owned).to_vec(), mentions, opening };
    let hinted = understood.year_hint.is_some() || understood.language_hint.is_some();
    Some(match understood.words.len() {
        // A year and a language say which, not what.
        _ if hinted => Sure::Share(0.2),
        _ if understood.described => Sure::Share(0.5),
        2 => named(if is_proper(understood) { MENTIONS } else { 1 }, OPENING),
        1 if has_article(understood) => named(MENTIONS, 0),
        ..=4 => Sure::Share(1.0),
        5..=8 => Sure::Share(0.75),
        _ => Sure::Share(0.5),
    })
}

#[cfg(test)]
mod tests {
    use bookworm_search::Hit;

    use super::*;
    use crate::domain::understand::understand;

    /// An answer of which so many are sure; `None` where the query cannot say. One is shown.
    fn answer(sure: Option<usize>) -> Response {
        let hit = Hit {
            id: uuid::Uuid::nil(),
            score: 1.0,
            text: None,
            meaning: None,
            sure: sure != Some(0),
            highlights: Vec::new(),
            reasons: Vec::new(),
        };
        Response { total: 1, text_total: 1, sure, hits: vec![hit], ..Response::default() }
    }

    #[test]
    fn a_name_without_its_book_is_missing_and_a_description_is_near() {
        for (query, missing) in [
            ("harry potter", true),
            ("the shining", true),
            ("coraline", true),
            ("shining", false),
            ("a book about whales", false),
            ("novels in french", false),
        ] {
            let verdict = verdict(&understand(query), &answer(Some(0)), 0, false);
            assert_eq!(verdict, Verdict { missing, nearest: !missing }, "{query}");
        }
    }

    #[test]
    fn what_is_sure_is_neither_missing_nor_near_and_what_cannot_be_known_is_not_judged() {
        for (sure, total) in [(Some(1), 1), (Some(0), 1), (None, 0)] {
            let verdict = verdict(&understand("harry potter"), &answer(sure), total, false);
            assert_eq!(verdict, Verdict { missing: false, nearest: false }, "{sure:?}");
        }
    }

    #[test]
    fn a_spelling_is_looked_for_only_where_nothing_is_sure_and_taken_only_when_clear() {
        assert!(
            may_be_misspelt(&answer(Some(0))) && may_be_misspelt(&answer(None)) && !may_be_misspelt(&answer(Some(2)))
        );
        let better = |is_clear| Better { text: "harry potter".to_owned(), is_clear };
        assert_eq!(replacement(&better(true), false), Some("harry potter"));
        assert_eq!(replacement(&better(false), false), None);
        assert_eq!(replacement(&better(true), true), None);
    }

    #[test]
    fn the_article_makes_a_name_of_one_word_alone() {
        for (query, is) in [("the shining", true), ("shining", false), ("the great gatsby", false), ("the who", false)]
        {
            assert_eq!(has_article(&understand(query)), is, "{query}");
        }
    }
}
