//! The catalogue's rules. Pure: no I/O, no async.

pub(crate) mod author;
pub(crate) mod draft;
pub(crate) mod import_step;
pub(crate) mod named;
pub(crate) mod rating;
pub(crate) mod text;
pub(crate) mod understand;

pub(crate) use self::{
    draft::Draft,
    rating::{Rating, Reviews},
};
