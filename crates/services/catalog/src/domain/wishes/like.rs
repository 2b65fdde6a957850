//! "books like dune", "similar to the da vinci code".

use super::{Found, Wish, Word, starting};

const OPENINGS: [&str; 38] = [
    "books like",
    "book like",
    "novels like",
    "novel like",
    "stories like",
    "series like",
    "something like",
    "anything like",
    "more like",
    "more books like",
    "other books like",
    "books such as",
    "similar to",
    "books similar to",
    "book similar to",
    "novels similar to",
    "something similar to",
    "anything similar to",
    "series similar to",
    "books in the style of",
    "in the style of",
    "in the vein of",
    "books in the vein of",
    "comparable to",
    "read alikes for",
    "readalikes for",
    "books to read after",
    "what to read after",
    "read after",
    "what should i read after",
    "books for fans of",
    "for fans of",
    "if you liked",
    "if i liked",
    "if you like",
    "because i liked",
    "bücher wie",
    "ähnlich wie",
];

/// Behind one of the openings everything is what is liked.
pub(super) fn like(words: &[Word], _: bool) -> Option<Found> {
    let folded: Vec<String> = OPENINGS.iter().map(|opening| crate::domain::text::fold(opening)).collect();
    let openings: Vec<&str> = folded.iter().map(String::as_str).collect();
    let length = starting(words, &openings)?;
    let liked: Vec<&str> = words[length..].iter().map(|word| word.typed.as_str()).collect();
    (!liked.is_empty()).then(|| (vec![0..words.len()], Wish::Like(liked.join(" "))))
}
