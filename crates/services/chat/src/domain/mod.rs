//! Rules of conversations: pure, without I/O.

pub mod intent;
