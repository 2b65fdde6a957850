//! Vectors of meaning.
pub mod local;
