#![doc = include_str!("../README.md")]

pub mod analysis;
mod document;
mod error;
pub mod fusion;
mod index;
pub mod limits;
mod query;
mod request;
mod schema;

pub use crate::{
    document::{Batch, Completion, Document},
    error::SearchError,
    fusion::Fusion,
    index::{Bulk, Index, Opened, Options, Stats, VectorModel, VectorsOpened},
    query::{Fuzziness, Minimum, Phrase, Query, StopWords, Synonym, Words},
    request::{
        Curve, Facet, FacetCounts, FacetOf, Filter, Highlighted, Highlighting, Hit, Meaning, Piece, Prior, Reason,
        Request, Response, Side, Similar, Sort, Suggestion,
    },
    schema::{Language, Schema, SchemaBuilder, TextOptions},
};

/// A `Result` of this crate.
pub type Result<T, E = SearchError> = std::result::Result<T, E>;
