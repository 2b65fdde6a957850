use std::fmt;

use serde::{Deserialize, Serialize};

/// An e-mail address, trimmed, with its domain in lower case; compared without case.
///
/// The check is the one browsers make (WHATWG HTML, "valid e-mail address"), shortened to what mail servers take:
/// whether the mailbox exists only a mail to it can tell.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "email", max_length = 254)]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address such as name@example.org, at most {} characters", Email::MAX)]
pub struct InvalidEmail;

impl Email {
    /// The most characters an address has (RFC 5321, 4.5.3.1.3).
    pub const MAX: usize = 254;

    /// Trims and checks an address.
    ///
    /// # Errors
    /// When it has no `@`, a part is empty or too long, or a character is not allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() > Self::MAX || !local_ok || !domain.split('.').all(label_ok) {
            return Err(InvalidEmail);
        }
        Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    /// The address as its owner wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which accounts are looked up: lower case throughout.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    /// Hides the address: people's addresses do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_people_have_and_refuses_the_rest() {
        for good in ["a@b.c", "first.last+tag@Example.ORG", "o'brien@example.co.uk", "x@localhost"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in
            ["", "@", "a@", "@b.c", "a b@c.d", "a@b..c", ".a@b.c", "a@-b.c", "a\r\nBcc: x@y.z", "a@b.c\u{0}", &long]
        {
            assert_eq!(Email::parse(bad), Err(InvalidEmail), "{bad:?}");
        }
    }

    #[test]
    fn is_found_whatever_its_case_and_never_printed_by_debug() {
        let email = Email::parse(" Ann@Example.Org ").expect("valid");
        assert_eq!(email.key(), "ann@example.org");
        assert_eq!(format!("{email:?}"), "Email(hidden)");
    }
}
