//! One file for each method of the service.

mod complete;
mod embed;
mod status;

pub(crate) use complete::NoText;
