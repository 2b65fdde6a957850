//! One search, and its answer.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::{Fusion, Query};

/// One search. Begin with [`Request::default`] (everything, first 20) and set what is needed.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the text must be like. `None` with no `meaning` either: every document.
    pub text: Option<Query>,
    /// What the meaning should be near to.
    pub meaning: Option<Meaning>,
    /// Only documents that pass all of these are ranked, on both sides.
    pub filters: Vec<Filter>,
    /// How the two rankings become one.
    pub fusion: Fusion,
    /// Documents that belong to what the text finds.
    pub related: Option<Related>,
    /// What speaks for a document whatever was asked.
    pub priors: Vec<Prior>,
    /// What speaks for some documents because of how the query was understood. At most
    /// [`PREFERENCES`](crate::limits::PREFERENCES).
    pub preferences: Vec<Preference>,
    /// The order of the hits.
    pub sort: Sort,
    /// Hits to pass over. `offset + limit` is at most [`WINDOW`](crate::limits::WINDOW).
    pub offset: usize,
    /// Hits to return.
    pub limit: usize,
    /// What to count.
    pub facets: Vec<Facet>,
    /// Which pieces of text to return with the hits.
    pub highlight: Option<Highlighting>,
    /// Say for each hit where its scores come from.
    pub explain: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            text: None,
            meaning: None,
            filters: Vec::new(),
            fusion: Fusion::default(),
            related: None,
            priors: Vec::new(),
            preferences: Vec::new(),
            sort: Sort::Relevance,
            offset: 0,
            limit: 20,
            facets: Vec::new(),
            highlight: None,
            explain: false,
        }
    }
}

/// The side of meaning: documents whose vectors are nearest.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The query's vector, of the model's length; need not be of unit length.
    pub vector: Vec<f32>,
    /// How many of the nearest take part, at most [`CANDIDATES`](crate::limits::CANDIDATES).
    pub candidates: usize,
    /// A document that only meaning finds must be at least so similar (cosine, -1 to 1).
    pub minimum: f32,
    /// Lets what the text finds say more of what is meant.
    pub feedback: Option<Feedback>,
}

/// Pseudo-relevance feedback (Rocchio 1971, "Relevance feedback in information retrieval"): the query's vector is moved
/// towards the vectors of the documents that are best by text. A name or a subject of two words says little by itself;
/// the books that bear it say much. Nothing changes when the text finds nothing, or took a word for one spelt like it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// How many of the best by text take part, at most [`FEEDBACK`](crate::limits::FEEDBACK).
    pub documents: usize,
    /// Weight of their mean, of which the query itself has 1. Not below 0.
    pub weight: f32,
}

/// Documents that belong to the best by text match too: who asks for a character means the whole series, though not
/// every volume's text names them.
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    /// The keyword field, counted as a facet, of which a value is shared.
    pub field: String,
    /// How many of the best by text bring related ones, at most [`RELATED`](crate::limits::RELATED).
    pub documents: usize,
    /// What a document is worth by that alone, of its best relative's score by text: 0 to 1.
    pub weight: f32,
}

impl Meaning {
    /// The nearest 200, however far.
    #[must_use]
    pub fn new(vector: Vec<f32>) -> Self {
        Self { vector, candidates: 200, minimum: -1.0, feedback: None }
    }
}

/// What a document must be like to be ranked at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// It has one of these values.
    Keyword {
        /// The keyword field.
        field: String,
        /// Values, compared byte for byte. None of them: no document passes.
        any_of: Vec<String>,
    },
    /// It has a number in this range.
    Number {
        /// The number field.
        field: String,
        /// Both ends belong to it. Use `i64::MIN` and `i64::MAX` for no end.
        range: RangeInclusive<i64>,
    },
    /// It is one of these.
    Ids(Vec<Uuid>),
    /// It does not pass this.
    Not(Box<Filter>),
}

impl Filter {
    /// One of these values in a keyword field.
    pub fn keyword<I>(field: &str, any_of: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self::Keyword { field: field.to_owned(), any_of: any_of.into_iter().map(Into::into).collect() }
    }

    /// A number from `from` to `to`; `None` is no end.
    #[must_use]
    pub fn number(field: &str, from: Option<i64>, to: Option<i64>) -> Self {
        Self::Number { field: field.to_owned(), range: from.unwrap_or(i64::MIN)..=to.unwrap_or(i64::MAX) }
    }

    /// The field it looks at.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Keyword { field, .. } | Self::Number { field, .. } => Some(field),
            Self::Ids(_) => None,
            Self::Not(inner) => inner.field(),
        }
    }
}

/// What speaks for a document whatever was asked: its scores are multiplied by `1 + weight * curve(number)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// A number field; a missing or negative number counts as 0.
    pub field: String,
    /// How a number becomes something between 0 and 1.
    pub curve: Curve,
    /// Weight on the score of the text.
    pub text: f32,
    /// Weight on the similarity of the meaning.
    pub meaning: f32,
}

/// Documents that come before others, or behind them, whatever their words are worth: those of the author whose name the
/// query is, the volume whose number it gives. Only in the order of relevance.
///
/// Where a request has preferences, the scores by text are brought to 0 to 1 before they are ranked, also when text alone
/// takes part, so that a weight means the same in every search.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// A document must pass all of these.
    pub of: Vec<Filter>,
    /// Added to the score; without preferences a score is at most the sum of the two sides' weights. Below 0: they come
    /// behind.
    pub weight: f32,
    /// Puts them in an order among themselves: added too.
    pub by: Option<Order>,
    /// They match although they have too few of the words, or none.
    pub brings: bool,
    /// They are what was asked for.
    pub sure: bool,
}

impl Preference {
    /// This weight for documents that match anyway.
    #[must_use]
    pub fn new(of: Vec<Filter>, weight: f32) -> Self {
        Self { of, weight, by: None, brings: false, sure: false }
    }

    /// They match, and are what was asked for.
    #[must_use]
    pub fn bringing(mut self) -> Self {
        (self.brings, self.sure) = (true, true);
        self
    }

    /// In this order.
    #[must_use]
    pub fn by(mut self, field: &str, curve: Curve, weight: f32) -> Self {
        self.by = Some(Order { field: field.to_owned(), curve, weight });
        self
    }
}

/// An order by a number: `weight * curve(number)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// A number field; a missing or negative number counts as 0.
    pub field: String,
    /// How a number becomes something between 0 and 1.
    pub curve: Curve,
    /// What 1 is worth. Below 0: small numbers first.
    pub weight: f32,
}

/// A curve from 0 and more to 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// `x / (x + pivot)`: one half at the pivot (greater than 0).
    Saturation {
        /// Where it is one half.
        pivot: f32,
    },
    /// `ln(1 + x) / ln(1 + full)`, at most 1: every tenfold adds the same.
    Log {
        /// Where it is 1 (greater than 0).
        full: f32,
    },
}

impl Curve {
    /// The curve's value.
    #[must_use]
    pub fn at(self, number: i64) -> f32 {
        #[allow(clippy::cast_precision_loss, reason = "a weight needs no more than 24 bits")]
        let x = number.max(0) as f32;
        match self {
            Self::Saturation { pivot } => x / (x + pivot.max(f32::MIN_POSITIVE)),
            Self::Log { full } => (x.ln_1p() / full.max(f32::MIN_POSITIVE).ln_1p()).min(1.0),
        }
    }
}

/// The order of the hits. Ties are by id, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Best first.
    #[default]
    Relevance,
    /// By a number field; documents without the number come last either way.
    Number {
        /// The field.
        field: String,
        /// Largest first.
        descending: bool,
    },
    /// By the first value of a keyword field with facets, byte by byte; documents without a value come last.
    Keyword {
        /// The field.
        field: String,
        /// Last first.
        descending: bool,
    },
}

/// What to count among everything that matched.
#[derive(Clone, Debug, PartialEq)]
pub struct Facet {
    /// The field.
    pub field: String,
    /// Values or ranges.
    pub counts: FacetOf,
    /// Count as if the filters on this same field were not there, so that other values can be chosen too.
    pub without_own_filters: bool,
}

/// How a facet is counted.
#[derive(Clone, Debug, PartialEq)]
pub enum FacetOf {
    /// The commonest values of a keyword field, at most [`FACET_VALUES`](crate::limits::FACET_VALUES).
    Values {
        /// How many.
        limit: usize,
    },
    /// Ranges of a number field, both ends included. They may overlap.
    Ranges(Vec<RangeInclusive<i64>>),
}

impl Facet {
    /// The commonest values of a keyword field, under all filters.
    #[must_use]
    pub fn values(field: &str, limit: usize) -> Self {
        Self { field: field.to_owned(), counts: FacetOf::Values { limit }, without_own_filters: false }
    }

    /// Ranges of a number field, under all filters.
    #[must_use]
    pub fn ranges(field: &str, ranges: Vec<RangeInclusive<i64>>) -> Self {
        Self { field: field.to_owned(), counts: FacetOf::Ranges(ranges), without_own_filters: false }
    }

    /// Count as if the filters on this same field were not there.
    #[must_use]
    pub fn without_own_filters(mut self) -> Self {
        self.without_own_filters = true;
        self
    }
}

/// Which texts to return with their matching words marked.
#[derive(Clone, Debug, PartialEq)]
pub struct Highlighting {
    /// Stored text fields and the most characters to return of each; longer texts are cut around their best passage.
    pub fields: Vec<(String, usize)>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// One page of hits.
    pub hits: Vec<Hit>,
    /// How many documents matched: by text, or near enough by meaning among the candidates.
    pub total: usize,
    /// How many of them matched by text.
    pub text_total: usize,
    /// How many of them only meaning found.
    pub meaning_only: usize,
    /// How many are what was asked for, when the query says when that is so ([`Sure`](crate::Sure)).
    pub sure: Option<usize>,
    /// The counts, in the request's order; over all that matched, or over what was asked for where that is known.
    pub facets: Vec<FacetCounts>,
    /// Words that were also looked for by likeness, and what stood for them: `("tolkein", ["tolkien"])`.
    pub tolerated: Vec<(String, Vec<String>)>,
}

/// One document that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Which.
    pub id: Uuid,
    /// The score it was ranked by. Only comparable within one answer.
    pub score: f32,
    /// Where the text put it, when it matched. Ranks count from 1, and are 0 beyond the depth that is ranked.
    pub text: Option<Side>,
    /// Where the meaning put it, when it is among the candidates; the score is the cosine with the priors.
    pub meaning: Option<Side>,
    /// It is what was asked for, as far as the query says when that is so.
    pub sure: bool,
    /// The texts that were asked for, of those fields that the document has.
    pub highlights: Vec<Highlighted>,
    /// Where the text's score comes from, when asked.
    pub reasons: Vec<Reason>,
}

/// One side's opinion of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// From 1; 0 when the side ranked it below its depth.
    pub rank: u32,
    /// The side's own score.
    pub score: f32,
}

/// A text, or the best passage of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlighted {
    /// The field.
    pub field: String,
    /// The text in pieces, in order; nothing is left out between them.
    pub pieces: Vec<Piece>,
    /// Text was cut off before the first piece.
    pub cut_before: bool,
    /// Text was cut off after the last piece.
    pub cut_after: bool,
}

/// A piece of text, never markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text as it was put in.
    pub text: String,
    /// Whether it matched.
    pub hit: bool,
}

/// Why a document has its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// In words for staff: `title: tolkein ~ tolkien`, `phrase in title`, `prior popularity`.
    pub what: String,
    /// What it added; for priors, what it multiplied by.
    pub score: f32,
}

/// A facet's counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCounts {
    /// The field.
    pub field: String,
    /// The commonest values first, ties by value; empty for ranges.
    pub values: Vec<(String, u64)>,
    /// One for each range that was asked for, in order; empty for values.
    pub ranges: Vec<u64>,
}

/// A text to propose to somebody who types.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The text.
    pub text: String,
    /// The caller's kind.
    pub kind: u8,
    /// The thing it names.
    pub id: Uuid,
    /// Its weight.
    pub weight: f32,
    /// It was found by likeness: nothing begins as typed.
    pub tolerated: bool,
}

/// A document that is like another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similar {
    /// Which.
    pub id: Uuid,
    /// How like, by both sides' ranks (reciprocal rank fusion).
    pub score: f32,
    /// The cosine of the vectors, when both have one and it is among the nearest.
    pub similarity: Option<f32>,
}
