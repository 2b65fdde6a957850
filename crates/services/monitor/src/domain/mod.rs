//! The rules, pure.

pub mod charts;
pub mod judgment;
#[cfg(test)]
mod tests;
