use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use bookworm_kernel::{FieldError, PersonName, has_visible};

use crate::{Problem, Result};

/// Collects every field that is not valid, so that the caller learns of all of them at once.
///
/// ```
/// # use bookworm_http::{Problem, Validator};
/// # fn check(title: &str, pages: i64) -> Result<String, Problem> {
/// let mut valid = Validator::new();
/// let title = valid.text("/title", title, 1..=200);
/// valid.check("/pages", pages > 0, "must be above 0");
/// valid.finish()?;
/// # Ok(title)
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "call `finish` to learn whether every field is valid"]
pub struct Validator {
    errors: Vec<FieldError>,
}

impl Validator {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a field that is not valid.
    pub fn error(&mut self, field: impl Into<String>, message: impl Display) {
        self.errors.push(FieldError::new(field, message));
    }

    /// Notes the field unless `valid`.
    pub fn check(&mut self, field: &str, valid: bool, message: impl Display) {
        if !valid {
            self.error(field, message);
        }
    }

    /// A person's name, cleaned; see [`PersonName`]. When it is not valid the field is noted and what is returned must
    /// not be used.
    pub fn name(&mut self, field: &str, text: &str) -> String {
        self.take(field, PersonName::parse(text)).map(String::from).unwrap_or_default()
    }

    /// A line of text: trimmed, `chars` characters long, without control characters. Returns the trimmed text; when
    /// it is not valid the field is noted and what is returned must not be used.
    pub fn text(&mut self, field: &str, text: &str, chars: RangeInclusive<usize>) -> String {
        self.checked(field, text, chars, |_| false)
    }

    /// As [`Validator::text`], with line breaks and tabs. `\r\n` becomes `\n`, as browsers send it.
    pub fn multiline(&mut self, field: &str, text: &str, chars: RangeInclusive<usize>) -> String {
        self.checked(field, &text.replace("\r\n", "\n"), chars, |c| c == '\n' || c == '\t')
    }

    /// As [`Validator::text`], for a field that may be left out or blank.
    pub fn optional_text(&mut self, field: &str, text: Option<&str>, chars: RangeInclusive<usize>) -> Option<String> {
        text.filter(|text| has_visible(text)).map(|text| self.text(field, text, chars))
    }

    /// As [`Validator::multiline`], for a field that may be left out or blank.
    pub fn optional_multiline(
        &mut self,
        field: &str,
        text: Option<&str>,
        chars: RangeInclusive<usize>,
    ) -> Option<String> {
        text.filter(|text| has_visible(text)).map(|text| self.multiline(field, text, chars))
    }

    /// A value that knows how to read itself. `None` when it cannot: then the field is noted with its error.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.take(field, text.trim().parse())
    }

    /// The value of a check made elsewhere. `None` when it failed: then the field is noted with its error.
    pub fn take<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(field, error)).ok()
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Ends the check.
    ///
    /// # Errors
    /// 400 `validation_failed` with every field that was noted.
    pub fn finish(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::validation(self.errors)) }
    }

    fn checked(&mut self, field: &str, text: &str, chars: RangeInclusive<usize>, allowed: fn(char) -> bool) -> String {
        let text = text.trim();
        let (min, max) = (*chars.start(), *chars.end());
        let length = text.chars().count();
        if !has_visible(text) && min > 0 {
            self.error(field, "must not be empty");
        } else if !chars.contains(&length) {
            let limits = if min <= 1 { format!("at most {max}") } else { format!("{min} to {max}") };
            self.error(field, format!("must be {limits} characters, not {length}"));
        } else if text.chars().any(|c| c.is_control() && !allowed(c)) {
            self.error(field, "must not contain control characters");
        }
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_every_bad_field() {
        let mut valid = Validator::new();
        assert_eq!(valid.text("/title", "  Dune ", 1..=10), "Dune");
        valid.text("/empty", "   ", 1..=10);
        valid.text("/invisible", "\u{200B}\u{3164}", 1..=10);
        valid.name("/name", "see https://example.org/win");
        assert_eq!(valid.name("/name", " Ann\u{200B}  Reader "), "Ann Reader");
        valid.text("/long", "\u{1F4DA}\u{1F4DA}\u{1F4DA}", 1..=2);
        valid.text("/short", "ab", 3..=5);
        valid.text("/control", "a\u{0}b", 1..=10);
        valid.text("/line", "a\nb", 1..=10);
        assert_eq!(valid.multiline("/text", "a\r\n\tb", 1..=10), "a\n\tb");
        valid.multiline("/bell", "a\u{7}", 1..=10);
        assert_eq!(valid.optional_text("/series", Some(" \u{200B}"), 1..=10), None);
        assert_eq!(valid.optional_text("/series", None, 1..=10), None);
        assert_eq!(valid.parse::<i64>("/pages", " 12 "), Some(12));
        assert_eq!(valid.parse::<i64>("/year", "soon"), None);
        valid.check("/fine", true, "never seen");
        valid.check("/price", false, "must be above 0");
        let problem = valid.finish().unwrap_err();
        let lines: Vec<_> = problem.errors().iter().map(|e| format!("{} {}", e.field, e.message)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        /empty must not be empty
        /invisible must not be empty
        /name must be a name, without a web or e-mail address in it
        /long must be at most 2 characters, not 3
        /short must be 3 to 5 characters, not 2
        /control must not contain control characters
        /line must not contain control characters
        /bell must not contain control characters
        /year invalid digit found in string
        /price must be above 0
        ");
    }

    #[test]
    fn nothing_wrong_is_fine() {
        assert!(Validator::new().finish().is_ok());
    }
}
