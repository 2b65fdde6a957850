use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ISBN as thirteen digits with a correct check digit (ISO 2108:2017). ISBN-10 is converted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "9780441478125")]
pub struct Isbn13(u64);

/// Why a text is not an ISBN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIsbn {
    /// Not 10 or 13 digits (an ISBN-10 may end in X; dashes, blanks and dots do not count).
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
    /// Scientific notation, such as `9.78E+12`: the last digits are gone.
    #[error("a spreadsheet rounded this ISBN; format its column as text and export it again")]
    Rounded,
}

/// A number that would be an ISBN but for a digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misprint {
    /// The digits as typed, without what stands between them.
    pub typed: String,
    /// What the last character would have to be.
    pub expected: char,
    /// The ISBN with that last character.
    pub meant: Isbn13,
    /// Every ISBN that one wrong digit, or two neighbours the wrong way round, would turn into what was typed; `meant`
    /// first. At most 25.
    pub near: Vec<Isbn13>,
}

/// An ISBN among other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsbnMention {
    /// The ISBN, or what is wrong with it.
    pub isbn: Result<Isbn13, Misprint>,
    /// The bytes that it takes in the text, with its add-on.
    pub place: Range<usize>,
}

/// Digits that a scanner appends for the price or the issue (EAN-5, EAN-2).
const ADD_ONS: [usize; 2] = [5, 2];
/// What may stand before an ISBN, the longest first. A 10 or 13 behind them is taken apart.
const LABELS: [&str; 6] = ["urn:isbn", "e-isbn", "eisbn", "isbn", "ean", "gtin"];

impl Isbn13 {
    /// Reads an ISBN as it is found in the world: ISBN-10 or ISBN-13, with dashes of any kind, blanks or dots between
    /// its digits or nothing; full-width digits; behind a label (`ISBN-13:`, `EAN`, `urn:isbn:`); in quotes or brackets
    /// or as a spreadsheet protects or mangles it (`="..."`, `'978...`, `...157.0`, nine digits when a leading zero was
    /// lost); with a scanner's add-on of 5 or 2 digits; with a remark in brackets behind it.
    ///
    /// # Errors
    /// When the length, the prefix or the check digit is wrong, or when a spreadsheet has rounded the number.
    pub fn parse(text: &str) -> Result<Self, InvalidIsbn> {
        let chars: Vec<char> = text.chars().map(plain).filter(|c| *c != VOID).collect();
        let bare = undress(&chars);
        if is_rounded(bare) {
            return Err(InvalidIsbn::Rounded);
        }
        let unlabelled = without_label(bare).map(undress);
        let mut failed = None;
        for chars in [Some(bare), unlabelled].into_iter().flatten() {
            match read(chars) {
                Ok(isbn) => return Ok(isbn),
                // The most useful reason wins: a label's number makes a length wrong that is right.
                Err(InvalidIsbn::Length) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(InvalidIsbn::Length))
    }

    /// The first ISBN in a text, whatever stands around it; when there is none, the first number that would be one but
    /// for its check digit. Thirteen digits win over ten.
    #[must_use]
    pub fn find(text: &str) -> Option<IsbnMention> {
        let chars: Vec<(usize, char)> = text.char_indices().map(|(at, c)| (at, plain(c))).collect();
        let mut misprint = None;
        let mut at = 0;
        while at < chars.len() {
            if !chars[at].1.is_ascii_digit() || !begins(&chars, at) {
                at += 1;
                continue;
            }
            let run = Run::from(&chars, at);
            // "isbn13978...": the label's number is not the ISBN's.
            let shifted = (run.labelled && run.digits.len() > 2).then(|| Run::from(&chars, run.digits[2].0));
            for run in [Some(&run), shifted.as_ref()].into_iter().flatten() {
                if let Some((isbn, end)) = run.isbn(&chars) {
                    let end = chars.get(end).map_or(text.len(), |(end, _)| *end);
                    let start = chars[run.start].0;
                    return Some(IsbnMention { isbn: Ok(isbn), place: start..end });
                }
            }
            if misprint.is_none() {
                misprint = run.misprint(&chars).map(|(wrong, end)| IsbnMention {
                    isbn: Err(wrong),
                    place: chars[run.start].0..chars.get(end).map_or(text.len(), |(end, _)| *end),
                });
            }
            while at < chars.len() && chars[at].1.is_alphanumeric() {
                at += 1;
            }
        }
        misprint
    }

    fn from_isbn10(digits: &[u8]) -> Result<Self, InvalidIsbn> {
        let check = check10(&digits[..9]);
        if digits[9] != check {
            return Err(InvalidIsbn::CheckDigit { expected: character(check) });
        }
        let mut thirteen = vec![9, 7, 8];
        thirteen.extend_from_slice(&digits[..9]);
        thirteen.push(check13(&thirteen));
        Ok(Self::join(&thirteen))
    }

    fn from_isbn13(digits: &[u8]) -> Result<Self, InvalidIsbn> {
        if !matches!(digits[..3], [9, 7, 8 | 9]) || digits.iter().any(|digit| *digit > 9) {
            return Err(InvalidIsbn::Prefix);
        }
        let check = check13(&digits[..12]);
        if digits[12] != check {
            return Err(InvalidIsbn::CheckDigit { expected: character(check) });
        }
        Ok(Self::join(digits))
    }

    /// Ten or thirteen digits.
    fn from_digits(digits: &[u8]) -> Result<Self, InvalidIsbn> {
        match digits.len() {
            10 => Self::from_isbn10(digits),
            13 => Self::from_isbn13(digits),
            _ => Err(InvalidIsbn::Length),
        }
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

/// The tenth digit, 10 for X: weights 10 down to 2, up to the next eleven.
fn check10(first_nine: &[u8]) -> u8 {
    let sum: u32 = first_nine.iter().zip((2..=10).rev()).map(|(&digit, weight)| u32::from(digit) * weight).sum();
    ((11 - sum % 11) % 11) as u8
}

fn character(digit: u8) -> char {
    char::from_digit(u32::from(digit), 10).unwrap_or('X')
}

/// Stands for characters that nobody sees.
const VOID: char = '\0';

/// A character as plain as it can be: digits of other scripts and full-width ones as ASCII, every dash as `-`, every
/// blank as a space, every dot as `.`, every quote as `"`.
fn plain(c: char) -> char {
    let digit = |first: u32| char::from_digit(u32::from(c) - first, 10).unwrap_or(c);
    match c {
        '\u{ff10}'..='\u{ff19}' => digit(0xff10),
        '\u{660}'..='\u{669}' => digit(0x660),
        '\u{6f0}'..='\u{6f9}' => digit(0x6f0),
        '\u{966}'..='\u{96f}' => digit(0x966),
        '\u{ff21}'..='\u{ff3a}' => char::from_u32(u32::from(c) - 0xff21 + u32::from('A')).unwrap_or(c),
        '\u{ff41}'..='\u{ff5a}' => char::from_u32(u32::from(c) - 0xff41 + u32::from('a')).unwrap_or(c),
        // Cyrillic letters that look like an X.
        '\u{425}' | '\u{445}' => 'X',
        '\u{2010}'..='\u{2015}'
        | '\u{2212}'
        | '\u{2043}'
        | '\u{58a}'
        | '\u{5be}'
        | '\u{1806}'
        | '\u{2e3a}'
        | '\u{2e3b}'
        | '\u{fe31}'
        | '\u{fe32}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff0d}'
        | '\u{30fc}'
        | '_' => '-',
        '\u{ff0e}' | '\u{b7}' | '\u{2022}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}' | '\u{2024}' | '\u{3002}' => '.',
        '\u{ff1a}' => ':',
        '\u{ff1d}' => '=',
        '“' | '”' | '„' | '‟' | '«' | '»' | '\'' | '‘' | '’' | '‚' | '`' | '´' | '\u{ff02}' | '\u{ff07}' => {
            '"'
        }
        // The soft hyphen, joiners, marks of direction, the byte order mark.
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}'
        | '\u{61c}' => VOID,
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

fn joins(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | VOID)
}

fn is_x(c: char) -> bool {
    matches!(c, 'x' | 'X')
}

/// Without what is put around a number: quotes, brackets, a formula's `=`, a remark in brackets behind it, punctuation.
fn undress(mut chars: &[char]) -> &[char] {
    const BEFORE: [char; 11] = [' ', '=', '"', '(', '[', '{', '<', ':', '#', ';', ','];
    const BEHIND: [char; 10] = [' ', '"', ')', ']', '}', '>', ';', ',', ':', '.'];
    while let [first, rest @ ..] = chars
        && BEFORE.contains(first)
    {
        chars = rest;
    }
    // "(pbk.)" behind the number, not brackets around it.
    if let Some(open) = chars.iter().position(|c| matches!(c, '(' | '['))
        && chars[..open].iter().any(char::is_ascii_digit)
        && matches!(chars.last(), Some(')' | ']' | '.' | ' '))
    {
        chars = &chars[..open];
    }
    while let [rest @ .., last] = chars
        && BEHIND.contains(last)
    {
        chars = rest;
    }
    chars
}

/// What is behind a label such as `ISBN-13:`.
fn without_label(chars: &[char]) -> Option<&[char]> {
    let begins_with = |label: &&&str| {
        label.len() <= chars.len() && label.chars().zip(chars).all(|(a, b)| a == b.to_ascii_lowercase())
    };
    let label = LABELS.iter().find(begins_with)?;
    let rest = &chars[label.len()..];
    let rest = &rest[rest.iter().position(|c| c.is_ascii_digit()).unwrap_or(0)..];
    let count = |chars: &[char]| chars.iter().filter(|c| c.is_ascii_digit() || is_x(**c)).count();
    match (rest, count(rest)) {
        // An ISBN has no 11, 12 or 15 digits, but with its 10 or 13 before it.
        (['1', '0' | '3', number @ ..], 11 | 12 | 15 | 20)
            if !matches!(rest, ['9', ..]) && number.iter().any(char::is_ascii_digit) =>
        {
            Some(&number[number.iter().position(|c| c.is_ascii_digit()).unwrap_or(0)..])
        }
        _ => Some(rest),
    }
}

/// Whether it is a number such as `9.78031E+12`.
fn is_rounded(chars: &[char]) -> bool {
    let Some(exponent) = chars.iter().position(|c| matches!(c, 'e' | 'E')) else { return false };
    let (number, power) = (&chars[..exponent], &chars[exponent + 1..]);
    let digit = |c: &char| c.is_ascii_digit();
    number.first().is_some_and(digit)
        && number.iter().all(|c| digit(c) || matches!(c, '.' | ','))
        && power.iter().any(digit)
        && power.iter().all(|c| digit(c) || matches!(c, '+' | ' '))
}

/// Digits and what may stand between them, and nothing else.
fn read(chars: &[char]) -> Result<Isbn13, InvalidIsbn> {
    // A number with decimals, all of them zero.
    let whole = match chars.iter().position(|c| *c == '.') {
        Some(dot) => {
            let (whole, decimals) = (&chars[..dot], &chars[dot + 1..]);
            let is_number = whole.len() >= 9 && whole.iter().all(char::is_ascii_digit);
            let are_zero = (1..=2).contains(&decimals.len()) && decimals.iter().all(|c| *c == '0');
            (is_number && are_zero).then_some(whole)
        }
        None => None,
    };
    let chars = whole.unwrap_or(chars);
    let mut digits = Vec::with_capacity(18);
    for (at, c) in chars.iter().enumerate() {
        match c {
            '0'..='9' => digits.push(*c as u8 - b'0'),
            // Only at the end, for the tenth of ten, or of nine without their zero.
            'x' | 'X' if at + 1 == chars.len() && matches!(digits.len(), 8 | 9) => digits.push(10),
            c if joins(*c) => {}
            _ => return Err(InvalidIsbn::Length),
        }
        if digits.len() > 18 {
            return Err(InvalidIsbn::Length);
        }
    }
    match digits.len() {
        9 => from_nine(&digits).ok_or(InvalidIsbn::Length),
        15 | 18 if matches!(digits[..3], [9, 7, 8 | 9]) => Isbn13::from_isbn13(&digits[..13]),
        _ => Isbn13::from_digits(&digits),
    }
}

/// Nine digits of ten: a spreadsheet takes a leading zero away. The check digit must fit, for any number has nine.
fn from_nine(digits: &[u8]) -> Option<Isbn13> {
    let mut ten = vec![0];
    ten.extend_from_slice(digits);
    Isbn13::from_isbn10(&ten).ok()
}

/// Whether a number begins here: not within a word, unless the word is a label.
fn begins(chars: &[(usize, char)], at: usize) -> bool {
    let before = chars[..at].iter().rev().map(|(_, c)| *c).take_while(|c| c.is_alphanumeric());
    let before: Vec<char> = before.collect();
    before.is_empty() || is_label(&before)
}

/// Whether these characters, the last one first, are a label.
fn is_label(reversed: &[char]) -> bool {
    LABELS.iter().any(|label| {
        label.len() == reversed.len() && label.chars().rev().zip(reversed).all(|(a, b)| a == b.to_ascii_lowercase())
    })
}

/// Digits in a text, with little between them.
struct Run {
    /// The place of the first.
    start: usize,
    /// Place and value of each.
    digits: Vec<(usize, u8)>,
    /// A label is joined to it.
    labelled: bool,
    /// What follows the last one belongs to no word.
    ends: Vec<bool>,
}

/// Characters between two digits at most, such as " - ".
const GAP: usize = 3;
/// The digits of an ISBN with a label's number and an add-on.
const MOST: usize = 20;

impl Run {
    fn from(chars: &[(usize, char)], start: usize) -> Self {
        let mut run = Self {
            start,
            digits: Vec::new(),
            labelled: start > 0 && chars[start - 1].1.is_alphanumeric(),
            ends: Vec::new(),
        };
        let mut gap = 0;
        for (at, (_, c)) in chars.iter().enumerate().skip(start) {
            if run.digits.len() > MOST || gap > GAP {
                break;
            }
            let ends = || chars.get(at + 1).is_none_or(|(_, next)| !next.is_alphanumeric());
            match c {
                '0'..='9' => run.digits.push((at, *c as u8 - b'0')),
                c if is_x(*c) && ends() && matches!(run.digits.len(), 8 | 9) => run.digits.push((at, 10)),
                c if joins(*c) => {
                    gap += usize::from(*c != VOID);
                    continue;
                }
                _ => break,
            }
            gap = 0;
            run.ends.push(ends());
        }
        run
    }

    fn values(&self, count: usize) -> Vec<u8> {
        self.digits[..count].iter().map(|(_, digit)| *digit).collect()
    }

    /// Whether the first `count` digits end a word.
    fn ends_at(&self, count: usize) -> bool {
        count > 0 && self.ends.get(count - 1) == Some(&true)
    }

    /// Whether the digits from one to another stand close together.
    fn is_tight(&self, from: usize, to: usize) -> bool {
        let place = |at: usize| self.digits.get(at).map(|(place, _)| *place);
        place(from).zip(place(to - 1)).is_some_and(|(first, last)| last - first == to - 1 - from)
    }

    /// The ISBN that it begins with, and the place behind it.
    fn isbn(&self, chars: &[(usize, char)]) -> Option<(Isbn13, usize)> {
        let behind = |count: usize| self.digits[count - 1].0 + 1;
        if self.digits.len() >= 13
            && let Ok(isbn) = Isbn13::from_isbn13(&self.values(13))
        {
            for add_on in ADD_ONS {
                let count = 13 + add_on;
                // With a blank before it an add-on of two digits may be anything; one of five is a scanner's.
                let apart = add_on == 5 && self.ends_at(13) && self.is_tight(13, count.min(self.digits.len()));
                let whole = self.digits.len() == count && self.ends_at(count);
                if whole && (self.is_tight(12, count) || apart) {
                    return Some((isbn, behind(count)));
                }
            }
            if self.ends_at(13) {
                return Some((isbn, behind_decimals(chars, behind(13))));
            }
        }
        if self.ends_at(10)
            && let Ok(isbn) = Isbn13::from_isbn10(&self.values(10))
        {
            return Some((isbn, behind_decimals(chars, behind(10))));
        }
        // Of nine digits only those that stand alone and close together.
        let place = self.ends_at(9).then(|| behind(9))?;
        let alone = self.digits.len() == 9 || behind_decimals(chars, place) == self.digits[self.digits.len() - 1].0 + 1;
        let hyphens = chars[self.start..place].iter().all(|(_, c)| *c != ' ');
        let isbn = from_nine(&self.values(9)).filter(|_| alone && hyphens)?;
        Some((isbn, behind_decimals(chars, place)))
    }

    /// What is wrong with it, when all but a digit is right, and the place behind it.
    fn misprint(&self, chars: &[(usize, char)]) -> Option<(Misprint, usize)> {
        let behind = |count: usize| self.digits[count - 1].0 + 1;
        let thirteen = self.digits.len() >= 13 && (self.ends_at(13) || self.digits.len() == 18);
        if thirteen && let Some(misprint) = Misprint::of(&self.values(13)) {
            let count = if self.digits.len() == 18 { 18 } else { 13 };
            return Some((misprint, behind(count)));
        }
        // Numbers in a row are not one number.
        let ten = self.digits.len() == 10 && self.ends_at(10);
        let ten = ten && chars[self.start..behind(10)].iter().all(|(_, c)| *c != ' ');
        ten.then(|| Misprint::of(&self.values(10))).flatten().map(|misprint| (misprint, behind(10)))
    }
}

/// The place behind `.0`, when that is what follows.
fn behind_decimals(chars: &[(usize, char)], at: usize) -> usize {
    let mut end = at;
    if chars.get(at).is_some_and(|(_, c)| *c == '.') {
        end += 1;
        while chars.get(end).is_some_and(|(_, c)| *c == '0') {
            end += 1;
        }
    }
    let is_end = chars.get(end).is_none_or(|(_, c)| !c.is_alphanumeric());
    if (2..=3).contains(&(end - at)) && is_end { end } else { at }
}

impl Misprint {
    /// Of ten or thirteen digits whose check digit does not fit.
    fn of(digits: &[u8]) -> Option<Self> {
        let expected = match Isbn13::from_digits(digits) {
            Err(InvalidIsbn::CheckDigit { expected }) => expected,
            _ => return None,
        };
        let mut near: Vec<Isbn13> = Vec::new();
        let mut take = |digits: &[u8]| {
            if let Ok(isbn) = Isbn13::from_digits(digits)
                && !near.contains(&isbn)
            {
                near.push(isbn);
            }
        };
        let last = digits.len() - 1;
        let mut other = digits.to_vec();
        for at in (0..digits.len()).rev() {
            let most = if digits.len() == 10 && at == last { 10 } else { 9 };
            for digit in 0..=most {
                other[at] = digit;
                take(&other);
            }
            other[at] = digits[at];
        }
        for at in 0..last {
            other.swap(at, at + 1);
            // An X stands last or nowhere.
            if other[..last].iter().all(|digit| *digit <= 9) {
                take(&other);
            }
            other.swap(at, at + 1);
        }
        let typed = digits.iter().map(|digit| character(*digit)).collect();
        Some(Self { typed, expected, meant: *near.first()?, near })
    }
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

    fn parsed(text: &str) -> Option<String> {
        Isbn13::parse(text).ok().map(|isbn| isbn.to_string())
    }

    fn found(text: &str) -> Option<(String, String)> {
        let mention = Isbn13::find(text)?;
        let rest = format!("{}|{}", &text[..mention.place.start], &text[mention.place.end..]);
        Some((mention.isbn.ok()?.to_string(), rest))
    }

    #[test]
    fn reads_every_notation() {
        for text in [
            "9780441478125",
            "978-0-441-47812-5",
            " 0-441-47812-3 ",
            "0441478123",
            "978\u{2011}0\u{2011}441\u{2011}47812\u{2011}5",
            "978\u{ff0d}0\u{2212}441\u{fe63}47812\u{2e3a}5",
            "978.0.441.47812.5",
            "978\u{a0}0\u{202f}441\u{2007}47812 5",
            "978 - 0 - 441 - 47812 - 5",
            "９７８０４４１４７８１２５",
            "９７８－０－４４１－４７８１２－５",
            "٩٧٨٠٤٤١٤٧٨١٢٥",
            "ISBN 978-0-441-47812-5",
            "isbn9780441478125",
            "ISBN-13: 978-0-441-47812-5",
            "ISBN13 9780441478125",
            "ISBN-10 0-441-47812-3",
            "ISBN10: 0441478123",
            "isbn139780441478125",
            "EAN 9780441478125",
            "urn:isbn:9780441478125",
            "e-ISBN: 9780441478125",
            "=\"9780441478125\"",
            "=\"0441478123\"",
            "'9780441478125",
            "\u{2019}9780441478125",
            "\"9780441478125\"",
            "[0441478123]",
            "9780441478125.0",
            "0441478123.0",
            "441478123.0",
            "9780441478125.00",
            "441478123",
            "441-47812-3",
            "978044147812551495",
            "9780441478125 51495",
            "978-0-441-47812-5 51495",
            "978044147812502",
            "0441478123 (pbk.)",
            "9780441478125 (paperback : alk. paper)",
            "978\u{ad}0441478125",
            "\u{feff}9780441478125\u{200b}",
            "9780441478125;",
        ] {
            assert_eq!(parsed(text).as_deref(), Some("9780441478125"), "{text}");
        }
        for text in ["080442957X", "0-8044-2957-x", "80442957X", "0-8044-2957-Х", "0-8044-2957-Ｘ", "ISBN 080442957X"]
        {
            assert_eq!(parsed(text).as_deref(), Some("9780804429573"), "{text}");
        }
        assert_eq!(parsed("1300000007").as_deref(), Some("9781300000006"), "a 13 that is no label");
        assert_eq!(parsed("979-10-90636-07-1").as_deref(), Some("9791090636071"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(Isbn13::parse("9780441478126"), Err(InvalidIsbn::CheckDigit { expected: '5' }));
        assert_eq!(Isbn13::parse("0441478124"), Err(InvalidIsbn::CheckDigit { expected: '3' }));
        assert_eq!(Isbn13::parse("080442957-1"), Err(InvalidIsbn::CheckDigit { expected: 'X' }));
        assert_eq!(Isbn13::parse("ISBN-13: 978-0-441-47812-6"), Err(InvalidIsbn::CheckDigit { expected: '5' }));
        assert_eq!(Isbn13::parse("978044147812651495"), Err(InvalidIsbn::CheckDigit { expected: '5' }));
        assert_eq!(Isbn13::parse("1234567890123"), Err(InvalidIsbn::Prefix));
        for text in ["9.78044E+12", "9,78044E+12", "9.78E12", "=\"9.78E+12\""] {
            assert_eq!(Isbn13::parse(text), Err(InvalidIsbn::Rounded), "{text}");
        }
        let wrong = [
            "",
            "978",
            "hello",
            "97804414781255",
            "978044147812X",
            "441478124",
            "12345678",
            "=\"\"",
            "ISBN",
            "9780441478125 and more",
            "0441478123 0441478123",
            "x0441478123",
            "isbn",
            "X",
            "97X0441478125",
        ];
        for text in wrong {
            assert_eq!(Isbn13::parse(text), Err(InvalidIsbn::Length), "{text}");
        }
    }

    #[test]
    fn finds_it_among_other_words() {
        for (text, rest) in [
            ("9780441478125", "|"),
            ("do you have 0-441-47812-3 in stock?", "do you have | in stock?"),
            ("isbn978-0-441-47812-5", "isbn|"),
            ("isbn139780441478125 x", "isbn13| x"),
            ("ISBN-13: 9780441478125", "ISBN-13: |"),
            ("９７８０４４１４７８１２５", "|"),
            ("978.0.441.47812.5 dune", "| dune"),
            ("978044147812551495", "|"),
            ("9780441478125 51495", "|"),
            ("9780441478125 5149 pages", "| 5149 pages"),
            ("9780441478125.0", "|"),
            ("441478123", "|"),
            ("441478123.0 please", "| please"),
            ("=\"9780441478125\"", "=\"|\""),
            ("9780441478125 1984", "| 1984"),
            ("1984 9780441478125", "1984 |"),
        ] {
            assert_eq!(found(text), Some(("9780441478125".to_owned(), rest.to_owned())), "{text}");
        }
        let nothing = [
            "1984",
            "catch 22",
            "2001 a space odyssey",
            "12345",
            "x0441478123",
            "04414781234",
            "441478124",
            "441 478 123",
            "call 441478123 456",
        ];
        for text in nothing {
            assert_eq!(Isbn13::find(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_digit_is_told_with_what_it_may_be() {
        let wrong = |text: &str| Isbn13::find(text).and_then(|mention| mention.isbn.err());
        let misprint = wrong("ISBN 978-0-8044-2957-4, please").unwrap();
        assert_eq!((misprint.typed.as_str(), misprint.expected), ("9780804429574", '3'));
        assert_eq!(misprint.meant.to_string(), "9780804429573");
        assert!(misprint.near.len() <= 25);
        let right = Isbn13::parse("9780441478125").unwrap();
        for text in ["9780441478135", "9780414478125", "978044147812651495", "0441478124", "0-441-47821-3"] {
            assert!(wrong(text).unwrap().near.contains(&right), "{text}");
        }
        for text in ["1234567890123", "1984 2001 22", "00441478123", "97804414781"] {
            assert_eq!(wrong(text), None, "{text}");
        }
        // One that is right is found behind one that is wrong.
        assert_eq!(found("9780441478126 9780441478125").unwrap().0, "9780441478125");
    }

    proptest! {
        #[test]
        fn a_single_wrong_digit_is_always_noticed(body in 0_u64..1_000_000_000, place in 0_usize..13, shift in 1_u8..10) {
            let mut digits: Vec<u8> = format!("978{body:09}").bytes().map(|b| b - b'0').collect();
            digits.push(check13(&digits));
            let text: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            let right = Isbn13::parse(&text).unwrap();
            digits[place] = (digits[place] + shift) % 10;
            let text: String = digits.iter().map(|d| char::from(b'0' + d)).collect();
            prop_assert!(Isbn13::parse(&text).is_err());
            if place > 2 {
                let near = Isbn13::find(&text).unwrap().isbn.unwrap_err().near;
                prop_assert!(near.contains(&right));
            }
        }

        #[test]
        fn every_dressed_isbn_is_found_and_parsed(body in 0_u64..1_000_000_000, ten: bool, cuts in any::<u16>(), dress in 0_usize..8) {
            let nine: Vec<u8> = format!("{body:09}").bytes().map(|b| b - b'0').collect();
            let as_ten = format!("{body:09}{}", character(check10(&nine)));
            let expected = Isbn13::parse(&as_ten).unwrap();
            let digits = if ten { as_ten } else { expected.to_string() };
            let dash = ['-', '\u{2013}', ' ', '.', '\u{2011}'][dress % 5];
            let mut spelt = String::new();
            for (i, c) in digits.chars().enumerate() {
                if i > 0 && i + 2 < digits.len() && cuts >> i & 1 == 1 {
                    spelt.push(dash);
                }
                spelt.push(c);
            }
            let dressed = match dress {
                0 => spelt,
                1 => format!("ISBN {spelt}"),
                2 => format!("=\"{spelt}\""),
                3 => format!("'{spelt}"),
                4 => format!("isbn: {spelt}"),
                5 => format!("[{spelt}]"),
                6 => format!("{spelt} (pbk.)"),
                _ => format!("\u{feff}{spelt} "),
            };
            prop_assert_eq!(Isbn13::parse(&dressed), Ok(expected), "{}", dressed);
            prop_assert_eq!(Isbn13::find(&dressed).and_then(|m| m.isbn.ok()), Some(expected), "{}", dressed);
        }

        #[test]
        fn never_panics(text in ".{0,40}", digits in "[0-9xX .\\-\u{ad}isbn(){}\"=]{0,40}") {
            for text in [text, digits] {
                let _ = Isbn13::parse(&text);
                if let Some(mention) = Isbn13::find(&text) {
                    prop_assert!(text.get(mention.place).is_some());
                }
            }
        }
    }
}
