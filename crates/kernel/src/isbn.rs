use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ISBN as thirteen digits with a correct check digit (ISO 2108:2017). ISBN-10 is converted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "9780441478125")]
pub struct Isbn13(u64);

/// Why a text is not an ISBN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIsbn {
    /// Not 10 or 13 digits (an ISBN-10 may end in X; hyphens and blanks do not count).
    #[error("an ISBN has 10 or 13 digits")]
    Length,
    /// A thirteen-digit number outside the 978 and 979 ranges.
    #[error("an ISBN-13 starts with 978 or 979")]
    Prefix,
    /// The last digit does not fit the others: most likely a typing error.
    #[error("the check digit is wrong: expected {expected}")]
    CheckDigit {
        /// What the last character should be.
        expected: char,
    },
}

impl Isbn13 {
    /// Reads an ISBN-10 or ISBN-13, with hyphens (of any kind) or blanks or without.
    ///
    /// # Errors
    /// When the length, the prefix or the check digit is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidIsbn> {
        let mut digits = Vec::with_capacity(13);
        for c in text.trim().chars() {
            match c {
                '0'..='9' => digits.push(c as u8 - b'0'),
                'x' | 'X' if digits.len() == 9 => digits.push(10),
                ' ' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
                _ => return Err(InvalidIsbn::Length),
            }
            if digits.len() > 13 {
                return Err(InvalidIsbn::Length);
            }
        }
        match digits.len() {
            10 => Self::from_isbn10(&digits),
            13 => Self::from_isbn13(&digits),
            _ => Err(InvalidIsbn::Length),
        }
    }

    fn from_isbn10(digits: &[u8]) -> Result<Self, InvalidIsbn> {
        let sum: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(&d, weight)| u32::from(d) * weight).sum();
        let check = (11 - sum % 11) % 11;
        if u32::from(digits[9]) != check {
            let expected = char::from_digit(check, 10).unwrap_or('X');
            return Err(InvalidIsbn::CheckDigit { expected });
        }
        let mut thirteen = vec![9, 7, 8];
        thirteen.extend_from_slice(&digits[..9]);
        thirteen.push(check13(&thirteen));
        Ok(Self::join(&thirteen))
    }

    fn from_isbn13(digits: &[u8]) -> Result<Self, InvalidIsbn> {
        if !matches!(digits[..3], [9, 7, 8 | 9]) || digits[9] > 9 {
            return Err(InvalidIsbn::Prefix);
        }
        let check = check13(&digits[..12]);
        if digits[12] != check {
            return Err(InvalidIsbn::CheckDigit { expected: char::from(b'0' + check) });
        }
        Ok(Self::join(digits))
    }

    fn join(digits: &[u8]) -> Self {
        Self(digits.iter().fold(0, |number, &digit| number * 10 + u64::from(digit)))
    }
}

/// The thirteenth digit: weights 1 and 3 in turn, up to the next ten.
fn check13(first_twelve: &[u8]) -> u8 {
    let sum: u32 =
        first_twelve.iter().zip([1, 3].into_iter().cycle()).map(|(&digit, weight)| u32::from(digit) * weight).sum();
    ((10 - sum % 10) % 10) as u8
}

impl FromStr for Isbn13 {
    type Err = InvalidIsbn;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Isbn13 {
    type Error = InvalidIsbn;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Isbn13> for String {
    fn from(isbn: Isbn13) -> Self {
        isbn.to_string()
    }
}

impl fmt::Display for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}", self.0)
    }
}

impl fmt::Debug for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isbn13({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_notation() {
        for text in [
            "9780441478125",
            "978-0-441-47812-5",
            " 0-441-47812-3 ",
            "0441478123",
            "978\u{2011}0\u{2011}441\u{2011}47812\u{2011}5",
        ] {
            assert_eq!(Isbn13::parse(text).map(|i| i.to_string()).as_deref(), Ok("9780441478125"), "{text}");
        }
        assert_eq!(Isbn13::parse("080442957X").map(|i| i.to_string()).as_deref(), Ok("9780804429573"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(Isbn13::parse("9780441478126"), Err(InvalidIsbn::CheckDigit { expected: '5' }));
        assert_eq!(Isbn13::parse("0441478124"), Err(InvalidIsbn::CheckDigit { expected: '3' }));
        assert_eq!(Isbn13::parse("1234567890123"), Err(InvalidIsbn::Prefix));
        for text in ["", "978", "hello", "97804414781255", "978044147812X"] {
            assert_eq!(Isbn13::parse(text), Err(InvalidIsbn::Length), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_single_wrong_digit_is_always_noticed(body in 0_u64..1_000_000_000, place in 0_usize..13, shift in 1_u8..10) {
            let mut digits: Vec<u8> = format!("978{body:09}").bytes().map(|b| b - b'0').collect();
            digits.push(check13(&digits));
            let text: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            prop_assert!(Isbn13::parse(&text).is_ok());
            digits[place] = (digits[place] + shift) % 10;
            let text: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            prop_assert!(Isbn13::parse(&text).is_err());
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = Isbn13::parse(&text);
        }
    }
}
