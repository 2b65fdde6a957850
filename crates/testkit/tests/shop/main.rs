//! The shop as a whole: every role in one process, called through its door.

mod architecture;
mod bad_input;
mod document;
mod oversell;
mod purchase;
