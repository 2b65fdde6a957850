#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod accumulate;
pub mod analysis;
mod bits;
mod completions;
mod document;
mod english;
mod error;
mod evaluate;
pub mod fusion;
mod highlight;
mod ids;
mod index;
mod likeness;
pub mod limits;
mod lock;
mod query;
mod request;
mod schema;
mod search;
mod snapshot;
mod tokens;
mod vectors;
mod vocabulary;

pub use crate::{
    document::{Batch, Completion, Document},
    english::{is_english, of_place},
    error::SearchError,
    fusion::Fusion,
    index::{Bulk, Index, Opened, Options, Stats, VectorModel, VectorsOpened},
    query::{Combine, Fuzziness, Minimum, Phrase, Query, StopWords, Sure, Synonym, Words},
    request::{
        Curve, Facet, FacetCounts, FacetOf, Feedback, Filter, Highlighted, Highlighting, Hit, Meaning, Order, Piece,
        Preference, Prior, Reason, Related, Request, Response, Side, Similar, Sort, Suggestion,
    },
    schema::{Language, Schema, SchemaBuilder, TextOptions},
    vocabulary::{is_hardly_another, is_like, is_nearly},
};

/// A `Result` of this crate.
pub type Result<T, E = SearchError> = std::result::Result<T, E>;
