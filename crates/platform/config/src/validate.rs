use std::{
    fmt::{self, Display},
    ops::RangeInclusive,
};

/// A value that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key, e.g. `gateway.body_limit_kib`.
    pub key: String,
    /// What is wrong with its value.
    pub message: String,
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// A section that knows its limits.
pub(crate) trait Validate {
    fn validate(&self, v: &mut Validation);
}

/// Collects every limit that is broken.
#[derive(Default)]
pub(crate) struct Validation {
    prefix: String,
    invalid: Vec<Invalid>,
}

impl Validation {
    pub(crate) fn check(&mut self, key: &str, valid: bool, message: impl Display) {
        if !valid {
            self.invalid.push(Invalid { key: format!("{}{key}", self.prefix), message: message.to_string() });
        }
    }

    pub(crate) fn range<T: PartialOrd + Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        let message = format!("must be {} to {}, not {value}", range.start(), range.end());
        self.check(key, range.contains(&value), message);
    }

    pub(crate) fn section(&mut self, key: &str, section: &impl Validate) {
        let outer = self.prefix.len();
        self.prefix.push_str(key);
        self.prefix.push('.');
        section.validate(self);
        self.prefix.truncate(outer);
    }

    pub(crate) fn finish(self) -> Result<(), Vec<Invalid>> {
        if self.invalid.is_empty() { Ok(()) } else { Err(self.invalid) }
    }
}
