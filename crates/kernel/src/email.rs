use std::fmt;

use serde::{Deserialize, Serialize};

/// An e-mail address, trimmed, with its domain in lower case and, when it is an international one, as A-labels
/// (UTS 46): what mail servers take. Compared without case.
///
/// The check is the one browsers make (WHATWG HTML, "valid e-mail address"), shortened to what mail servers take:
/// whether the mailbox exists only a mail to it can show.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = "email", max_length = 254)]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// It has no `@`, a part is empty or too long, or a character is not allowed.
    #[error("must be an e-mail address such as name@example.org, at most {} characters", Email::MAX)]
    Form,
    /// The part before the `@` has letters for which most mail servers need an extension (RFC 6531) that ours does not
    /// ask for.
    #[error(
        "must have only the letters a to z, digits and signs before the @; accents and other scripts are fine after it"
    )]
    Local,
    /// The part after the `@` is no domain, whichever way it is written.
    #[error("must have the name of a mail server after the @, such as example.org")]
    Domain,
}

impl Email {
    /// The most characters an address has (RFC 5321, 4.5.3.1.3).
    pub const MAX: usize = 254;

    /// Trims and checks an address. Letters beyond ASCII may be in the domain, which is converted.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.len() > 4 * Self::MAX {
            return Err(InvalidEmail::Form);
        }
        // Some keyboards type the full-width sign.
        let typed = text.replace('\u{FF20}', "@");
        let (local, domain) = typed.rsplit_once('@').ok_or(InvalidEmail::Form)?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        if !local_ok {
            let foreign = !local.is_ascii() && !local.chars().any(|c| c.is_control() || c.is_whitespace());
            return Err(if foreign { InvalidEmail::Local } else { InvalidEmail::Form });
        }
        let domain = if domain.is_ascii() {
            domain.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(domain).map_err(|_| InvalidEmail::Domain)?
        };
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if local.len() + 1 + domain.len() > Self::MAX || !domain.split('.').all(label_ok) {
            return Err(InvalidEmail::Form);
        }
        Ok(Self(format!("{local}@{domain}")))
    }

    /// The address as mail servers take it: ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as people write it: the domain in its own letters. For pages and API answers; it parses to the same
    /// address.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((local, domain)) if domain.contains("xn--") => {
                let (unicode, valid) = idna::domain_to_unicode(domain);
                if valid.is_ok() { format!("{local}@{unicode}") } else { self.0.clone() }
            }
            _ => self.0.clone(),
        }
    }

    /// The mailbox that it reaches, as far as that can be known from outside: lower case, without a `+tag`, and without
    /// the dots that Gmail passes over. For counting mails to one person, never for writing to them.
    #[must_use]
    pub fn mailbox(&self) -> String {
        let key = self.key();
        let Some((local, domain)) = key.rsplit_once('@') else { return key };
        let local = local.split_once('+').map_or(local, |(name, _)| name);
        match domain {
            "gmail.com" | "googlemail.com" => format!("{}@gmail.com", local.replace('.', "")),
            _ => format!("{local}@{domain}"),
        }
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
            assert_eq!(Email::parse(bad), Err(InvalidEmail::Form), "{bad:?}");
        }
    }

    #[test]
    fn a_domain_may_have_any_letters_and_the_part_before_it_not() {
        for (typed, stored, shown) in [
            ("a@m\u{fc}nchen.example", "a@xn--mnchen-3ya.example", "a@m\u{fc}nchen.example"),
            ("a@MU\u{308}NCHEN.example", "a@xn--mnchen-3ya.example", "a@m\u{fc}nchen.example"),
            ("a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example", "a@m\u{fc}nchen.example"),
            ("a@stra\u{df}e.example", "a@xn--strae-oqa.example", "a@stra\u{df}e.example"),
            (
                "info@\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}",
                "info@xn--r8jz45g.xn--zckzah",
                "info@\u{4f8b}\u{3048}.\u{30c6}\u{30b9}\u{30c8}",
            ),
            ("x\u{ff20}example\u{3002}org", "x@example.org", "x@example.org"),
        ] {
            let email = Email::parse(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!((email.as_str(), email.shown().as_str()), (stored, shown), "{typed}");
            assert_eq!(Email::parse(&email.shown()), Ok(email));
        }
        for local in ["m\u{fc}ller@example.org", "\u{674e}@example.org", "zoe\u{308}@m\u{fc}nchen.example"] {
            assert_eq!(Email::parse(local), Err(InvalidEmail::Local), "{local}");
        }
        for domain in ["a@m\u{fc}nchen..example", "a@\u{200b}", "a@b\u{202e}c.example", "a@\u{fc}_x.example"] {
            assert!(Email::parse(domain).is_err(), "{domain:?}");
        }
        let no_label = Email::parse("a@xn--0.example").expect("taken since ever, so it must be readable");
        assert_eq!(no_label.shown(), "a@xn--0.example");
    }

    #[test]
    fn one_person_counts_as_one_mailbox() {
        let mailbox = |text: &str| Email::parse(text).expect("valid").mailbox();
        assert_eq!(mailbox("Ann+Books@Example.org"), "ann@example.org");
        assert_eq!(mailbox("a.n.n+x@googlemail.com"), "ann@gmail.com");
        assert_eq!(mailbox("a.n@example.org"), "a.n@example.org");
    }

    #[test]
    fn is_found_whatever_its_case_and_never_printed_by_debug() {
        let email = Email::parse(" Ann@Example.Org ").expect("valid");
        assert_eq!(email.key(), "ann@example.org");
        assert_eq!(format!("{email:?}"), "Email(hidden)");
    }
}
