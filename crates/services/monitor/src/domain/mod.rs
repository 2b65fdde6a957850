//! The rules, pure.

pub mod judgment;
#[cfg(test)]
mod tests;
