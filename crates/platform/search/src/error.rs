//! What can go wrong, by what the caller can do about it.

use std::path::PathBuf;

/// Why the index did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Another process, or another [`Index`](crate::Index) of this process, has the folder open.
    #[error("the search index in {0} is in use: only one process may open it")]
    Locked(PathBuf),
    /// The request names a field that the schema has not, or not with that kind.
    #[error("the schema has no {kind} field {field:?}")]
    UnknownField {
        /// The name that was asked for.
        field: String,
        /// `text`, `keyword` or `number`.
        kind: &'static str,
    },
    /// The schema cannot be built: a name twice, a name with other characters than `a-z0-9_`, no field at all.
    #[error("the schema is not sound: {0}")]
    Schema(String),
    /// A vector of another length than the model's, one that is not finite, or one of length zero.
    #[error("the vector is not usable: {0}")]
    Vector(String),
    /// The request asks for more than the limits of [`limits`](crate::limits).
    #[error("the request asks for too much: {0}")]
    TooMuch(String),
    /// The disk did not do its part.
    #[error("the search index could not be read or written")]
    Io(#[from] std::io::Error),
    /// The engine below did not do its part.
    #[error("the search engine failed: {0}")]
    Engine(String),
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        match error {
            tantivy::TantivyError::IoError(error) => Self::Io(std::io::Error::new(error.kind(), error.to_string())),
            other => Self::Engine(other.to_string()),
        }
    }
}
