//! What is asked: a tree that the caller builds. Nothing a person typed is ever parsed as a language.

use std::{collections::HashSet, ops::RangeInclusive, sync::Arc};

use crate::analysis;

/// What a document must be like to match, and what its match is worth.
#[derive(Clone, Debug)]
pub enum Query {
    /// Every document, with score 1.
    All,
    /// No document.
    None,
    /// Documents with these words. See [`Words`].
    Words(Words),
    /// Documents in which these words stand one after the other.
    Phrase(Phrase),
    /// Documents with one of these values in a keyword field. Score 1.
    Keyword {
        /// The keyword field.
        field: String,
        /// Values, compared byte for byte.
        any_of: Vec<String>,
    },
    /// Documents whose number is in the range. Score 1.
    Number {
        /// The number field.
        field: String,
        /// Both ends belong to it.
        range: RangeInclusive<i64>,
    },
    /// Documents that match any of these; the score is the best one's plus `tie` times the others'.
    DisMax {
        /// The alternatives.
        queries: Vec<Query>,
        /// 0: the best alone counts. 1: their sum.
        tie: f32,
    },
    /// Documents that match all of `must`, none of `must_not`, and at least `minimum_should` of `should`; the score is
    /// the sum of what matched of `must` and `should`.
    Bool {
        /// All of these.
        must: Vec<Query>,
        /// These are worth something.
        should: Vec<Query>,
        /// None of these.
        must_not: Vec<Query>,
        /// How many of `should` at least. With an empty `must`, at least 1 is meant.
        minimum_should: usize,
    },
    /// The same documents with their score multiplied.
    Boost(Box<Query>, f32),
    /// The same documents, all with this score.
    Constant(Box<Query>, f32),
}

impl Query {
    /// This query with its score multiplied.
    #[must_use]
    pub fn boost(self, factor: f32) -> Self {
        Self::Boost(Box::new(self), factor)
    }

    /// This query with one score for all that match.
    #[must_use]
    pub fn constant(self, score: f32) -> Self {
        Self::Constant(Box::new(self), score)
    }

    /// All of these must match.
    #[must_use]
    pub fn all(queries: Vec<Query>) -> Self {
        Self::Bool { must: queries, should: Vec::new(), must_not: Vec::new(), minimum_should: 0 }
    }

    /// At least one of these must match.
    #[must_use]
    pub fn any(queries: Vec<Query>) -> Self {
        Self::Bool { must: Vec::new(), should: queries, must_not: Vec::new(), minimum_should: 1 }
    }
}

impl From<Words> for Query {
    fn from(words: Words) -> Self {
        Self::Words(words)
    }
}

impl From<Phrase> for Query {
    fn from(phrase: Phrase) -> Self {
        Self::Phrase(phrase)
    }
}

/// Words in a row, in one of some fields that remember positions.
#[derive(Clone, Debug)]
pub struct Phrase {
    /// The words; analysed like a field's text. Stop words belong to a phrase.
    pub text: String,
    /// Fields and their boosts; empty: every field with positions, with the schema's boosts.
    pub fields: Vec<(String, f32)>,
}

impl Phrase {
    /// A phrase in any field with positions.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), fields: Vec::new() }
    }

    /// Looks in this field too; the first call narrows it down from all fields.
    #[must_use]
    pub fn field(mut self, name: &str, boost: f32) -> Self {
        self.fields.push((name.to_owned(), boost));
        self
    }
}

/// How many of the words a document must have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Minimum {
    /// One is enough.
    Any,
    /// Every one.
    All,
    /// So many, or all when there are fewer.
    Count(usize),
    /// This share of the words, 0 to 1, weighed by how rare they are, so that a missing rare word is missed more.
    Share(f32),
    /// The same share, or a lower one when the document is among the best by its words: the long tail of a search is
    /// worth ranking, but neither counting nor showing whole. Filters and priors come after this, so that filters narrow
    /// one set down, and what a facet counts is what a filter leaves.
    ShareOrBest {
        /// What is enough, 0 to 1.
        share: f32,
        /// What is enough for the best, 0 to `share`.
        loosely: f32,
        /// How many those are; ties with the last of them are in.
        best: usize,
    },
}

/// When a word may stand for one that is spelt like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuzziness {
    /// Never.
    Never,
    /// Words that no fuzzy field knows and hardly another (one document of 10,000); and when fewer than so many documents
    /// match, every word that nothing has in any form. What matches as typed is always worth more than what matches by
    /// likeness.
    WhenFewer(usize),
    /// Every word.
    Always,
}

/// When a document is what was asked for, and not only something like it. Counts and facets are then of those; a list
/// that is not sorted by relevance has no others, when there are any. What is only spelt alike does not count.
#[derive(Clone, Debug, PartialEq)]
pub enum Sure {
    /// When it has this share of the words, weighed by rarity, counting those that no document has.
    Share(f32),
    /// When it has all of the words in a few fields together, or all in a row, as typed, in the opening of another one; in
    /// all of another one where enough documents do. One that mentions a name is not what it names, but what a text begins
    /// with, or many tell of, is a subject.
    Named {
        /// The fields by which a document is known.
        fields: Vec<String>,
        /// How many documents at least say the words in a row in another field, so that those are meant.
        mentions: usize,
        /// Words of another field in which the row must begin otherwise.
        opening: u32,
    },
}

/// How the fields that have a word count together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// The field where the word is worth most decides: a name is in one field.
    Best {
        /// What the other fields add, 0 to 1.
        tie: f32,
    },
    /// The fields are read as one text, in which an occurrence counts as often as its field's boost says (BM25F: the
    /// same, eq. 3.20): what is told is told anywhere. A stem is worth its part of an occurrence, the word itself the
    /// rest.
    Together,
}

/// Words to look for in several fields at once.
///
/// Every word is worth its inverse document frequency times BM25's term frequency (Robertson and Zaragoza 2009, "The
/// Probabilistic Relevance Framework", eq. 3.15), which [`combine`](Self::combine) takes of the fields: each word may be
/// in another one, so "dune herbert" finds the book with one word in its title and the other in its author. A word's
/// frequency is that of its commonest field, so that a field where a word is unusual gains nothing from that alone.
///
/// The settings that [`new`](Self::new) gives were tuned on a bookstore's queries; the README says how.
#[derive(Clone, Debug)]
pub struct Words {
    /// What was typed. Any text at all: it is analysed, never parsed.
    pub text: String,
    /// Fields and their boosts; empty: every text field, with the schema's boosts.
    pub fields: Vec<(String, f32)>,
    /// How many of the words must be there.
    pub minimum: Minimum,
    /// Tolerance of misspellings.
    pub fuzziness: Fuzziness,
    /// The last word may be the beginning of a longer one.
    pub prefix: bool,
    /// How the fields that have a word count together.
    pub combine: Combine,
    /// Added for each two neighbours that stand together in a field with positions and `fuzzy` or `exact`, times the
    /// field's boost and the mean of their frequency weights (an ordered window of two: Metzler and Croft 2005, "A
    /// Markov Random Field Model for Term Dependencies"). Not for more than 12 words. 0 turns it off.
    pub phrase: f32,
    /// Added when a field with `exact` says this and nothing else, times the field's boost and the sum of the words'
    /// frequency weights. Not for more than 12 words. 0 turns it off.
    pub exact: f32,
    /// Added to the best 100 documents for words of the text that a field with positions says as they were typed, three or
    /// more in a row, stop words included: times the sum of their frequency weights and the share that they are of all
    /// words of the text. Who describes a book often repeats what was read about it. Not for more than 32 words. 0 turns
    /// it off.
    pub run: f32,
    /// Not looked for, unless there is no other word.
    pub stop_words: StopWords,
    /// Words that are spelt right, whether a document has them or not: never taken for others.
    pub known: StopWords,
    /// How much more a word counts that is not among the known ones: a name tells more than a word of the language.
    /// 0, nothing; 0.5, half as much again.
    pub names: f32,
    /// When a document is what was asked for. `None`: whenever it matches.
    pub sure: Option<Sure>,
    /// Other words for what was typed.
    pub synonyms: Vec<Synonym>,
    /// What a match by synonym is worth, of a match by the word itself.
    pub synonym_weight: f32,
}

impl Words {
    /// Words with settings that suit names and descriptions together: a fifth of the words must be there, weighed by
    /// rarity, and misspellings are looked for when few documents match.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            fields: Vec::new(),
            minimum: Minimum::Share(0.2),
            fuzziness: Fuzziness::WhenFewer(3),
            prefix: false,
            combine: Combine::Best { tie: 0.1 },
            phrase: 0.5,
            exact: 1.0,
            run: 0.0,
            stop_words: StopWords::default(),
            known: StopWords::default(),
            names: 0.0,
            sure: None,
            synonyms: Vec::new(),
            synonym_weight: 0.8,
        }
    }

    /// Looks in this field too; the first call narrows it down from all fields.
    #[must_use]
    pub fn field(mut self, name: &str, boost: f32) -> Self {
        self.fields.push((name.to_owned(), boost));
        self
    }

    /// How many of the words must be there.
    #[must_use]
    pub fn minimum(mut self, minimum: Minimum) -> Self {
        self.minimum = minimum;
        self
    }

    /// Tolerance of misspellings.
    #[must_use]
    pub fn fuzziness(mut self, fuzziness: Fuzziness) -> Self {
        self.fuzziness = fuzziness;
        self
    }

    /// The last word may be the beginning of a longer one.
    #[must_use]
    pub fn prefix(mut self, prefix: bool) -> Self {
        self.prefix = prefix;
        self
    }

    /// Words not to look for.
    #[must_use]
    pub fn stop_words(mut self, words: &StopWords) -> Self {
        self.stop_words = words.clone();
        self
    }

    /// Words that are spelt right.
    #[must_use]
    pub fn known(mut self, words: &StopWords) -> Self {
        self.known = words.clone();
        self
    }

    /// When a document is what was asked for.
    #[must_use]
    pub fn sure(mut self, sure: Sure) -> Self {
        self.sure = Some(sure);
        self
    }

    /// Other words for what was typed.
    #[must_use]
    pub fn synonyms(mut self, synonyms: Vec<Synonym>) -> Self {
        self.synonyms = synonyms;
        self
    }
}

/// Words of a query, and what may stand for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// One or more words in a row, as they may stand in the query ("sci fi"). Analysed.
    pub words: String,
    /// What else to look for in their place, each one or more words ("science fiction"): those then all count, as a
    /// phrase where the field has positions.
    pub alternatives: Vec<String>,
}

/// Words too common to look for. Cheap to clone; folded like all text.
#[derive(Clone, Debug, Default)]
pub struct StopWords(pub(crate) Arc<HashSet<String>>);

impl StopWords {
    /// From a list of words.
    pub fn new<I>(words: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut folded = HashSet::new();
        for word in words {
            for token in analysis::words(word.as_ref()) {
                folded.extend(token.forms);
            }
        }
        Self(Arc::new(folded))
    }

    /// Whether a folded word is one of them.
    #[must_use]
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}
