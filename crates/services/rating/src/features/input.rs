//! What an author sends, checked.

use bookworm_contracts::rest::rating::ReviewInput;
use bookworm_http::{Result, Validator};
use bookworm_kernel::Language;

use crate::{domain::Stars, store::reviews::Words};

/// Characters of a title.
const TITLE: std::ops::RangeInclusive<usize> = 1..=120;
/// Characters of a text.
const TEXT: std::ops::RangeInclusive<usize> = 1..=5000;

/// Checks a review.
///
/// # Errors
/// 400 `validation_failed` with every field that is wrong.
pub(super) fn check(input: &ReviewInput) -> Result<(Stars, Words)> {
    let mut valid = Validator::new();
    let stars = valid.take("/rating", Stars::new(input.rating)).unwrap_or_default();
    let title = valid.optional_text("/title", input.title.as_deref(), TITLE);
    let text = valid.optional_multiline("/text", input.text.as_deref(), TEXT);
    let language = input.language.as_deref().map(str::trim).filter(|language| !language.is_empty());
    let language = language.and_then(|language| valid.take("/language", Language::parse(language)));
    valid.finish()?;
    let language = language.map(|language| language.tag().to_owned());
    Ok((stars, Words { title, text, language, spoiler: input.spoiler }))
}
