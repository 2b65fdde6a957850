//! How much one call may ask for. What is over a limit is cut off where that still gives a useful answer (a query's
//! words), and refused with [`SearchError::TooMuch`](crate::SearchError::TooMuch) where it does not.

/// Characters of a query's text that are looked at; the rest is ignored.
pub const QUERY_CHARACTERS: usize = 8_000;
/// Different words of a query that are looked up; of more, the rarest.
pub const QUERY_WORDS: usize = 64;
/// How deep an AST of [`Query`](crate::Query) may nest.
pub const QUERY_DEPTH: usize = 16;
/// How many nodes an AST of [`Query`](crate::Query) may have.
pub const QUERY_NODES: usize = 256;
/// `offset + limit` of a request.
pub const WINDOW: usize = 10_000;
/// Candidates by meaning.
pub const CANDIDATES: usize = 2_000;
/// Values in one filter.
pub const FILTER_VALUES: usize = 10_000;
/// Values of one facet that are returned.
pub const FACET_VALUES: usize = 1_000;
/// Suggestions that are returned.
pub const SUGGESTIONS: usize = 100;
/// Bytes of one analysed word; longer ones are not indexed and not found.
pub const WORD_BYTES: usize = 64;
/// Bytes of a keyword's value; longer ones are not indexed.
pub const KEYWORD_BYTES: usize = 1_024;
/// Terms that one misspelt word, or one word's prefix, may stand for.
pub const EXPANSIONS: usize = 16;
/// Numbers of a vector.
pub const DIMENSIONS: usize = 4_096;
/// Documents whose vectors move a query's.
pub const FEEDBACK: usize = 100;
/// Documents of which the related ones match too.
pub const RELATED: usize = 100;
/// Preferences of one request.
pub const PREFERENCES: usize = 64;
/// Values that are returned for being spelt like a text.
pub const ALIKE: usize = 64;
/// Edits that two values may be apart to be alike.
pub const EDITS: u32 = 8;
