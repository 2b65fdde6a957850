//! The catalogue's rules. Pure: no I/O, no async.

pub(crate) mod ages;
pub(crate) mod author;
pub(crate) mod draft;
pub(crate) mod form;
pub(crate) mod import_step;
pub(crate) mod named;
pub(crate) mod rating;
pub(crate) mod script;
pub(crate) mod study_guide;
pub(crate) mod text;
pub(crate) mod understand;
pub(crate) mod volume;
pub(crate) mod wishes;

pub(crate) use self::{
    draft::Draft,
    rating::{Rating, Reviews},
};
