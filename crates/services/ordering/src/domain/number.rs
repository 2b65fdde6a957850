use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Crockford's base 32: no I, L, O or U, so that nothing is mistaken when it is read out.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols that carry the number; one more is the check symbol.
const SYMBOLS: usize = 7;
/// The prime of Crockford's check symbol: larger than the alphabet, so it catches every wrong and every swapped symbol.
const MODULUS: u64 = 37;

/// The number of an order, as on the mail and on the phone: `BW-7K3M-92QX`.
///
/// Seven random symbols of Crockford's base 32 and his check symbol. His check alphabet has five more characters that
/// nobody can pronounce (`*~$=U`), so numbers that would need one of them are never given out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderNumber(u64);

/// The text is not the number of an order of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an order number such as BW-7K3M-92QV; please look again for a mistyped character")]
pub struct InvalidOrderNumber;

impl OrderNumber {
    /// How many values `from_random` maps from: 2^35.
    pub const RANGE: u64 = 1 << (5 * SYMBOLS as u64);

    /// The number made of 35 random bits; `None` for the few that have no speakable check symbol: draw again.
    #[must_use]
    pub fn from_random(bits: u64) -> Option<Self> {
        let value = bits % Self::RANGE;
        (value % MODULUS < ALPHABET.len() as u64).then_some(Self(value))
    }

    /// Draws until a number comes out. `random` gives uniformly distributed bits.
    pub fn draw(mut random: impl FnMut() -> u64) -> Self {
        loop {
            if let Some(number) = Self::from_random(random()) {
                return number;
            }
        }
    }

    /// How the numbers begin that somebody may mean who types the beginning of one, read as [`OrderNumber::parse`] does;
    /// `None` when the text begins none. Without the prefix it takes four symbols, so that names are not taken for
    /// numbers.
    #[must_use]
    pub fn beginning(text: &str) -> Option<String> {
        let text: String = text.to_ascii_uppercase().chars().filter(|c| !matches!(c, '-' | '–' | ' ')).collect();
        let (symbols, least) = text.strip_prefix("BW").map_or((text.as_str(), 4), |symbols| (symbols, 0));
        let symbols = symbols.replace('O', "0").replace(['I', 'L'], "1");
        let ours = symbols.bytes().all(|byte| ALPHABET.contains(&byte));
        if !ours || !(least..=SYMBOLS + 1).contains(&symbols.len()) {
            return None;
        }
        let (first, rest) = symbols.split_at(symbols.len().min(4));
        Some(if rest.is_empty() { format!("BW-{first}") } else { format!("BW-{first}-{rest}") })
    }

    /// Reads a number as people write it: any case, with or without hyphens and prefix, `O` for `0`, `I` or `L` for
    /// `1`.
    ///
    /// # Errors
    /// When it has another length, a character that is none of ours, or the check symbol does not fit.
    pub fn parse(text: &str) -> Result<Self, InvalidOrderNumber> {
        let text = text.trim().to_ascii_uppercase().replace('-', "");
        let body = text.strip_prefix("BW").filter(|_| text.len() > SYMBOLS + 1).unwrap_or(&text);
        let symbols: Vec<u64> = body
            .bytes()
            .map(|byte| {
                let read = match byte {
                    b'O' => b'0',
                    b'I' | b'L' => b'1',
                    other => other,
                };
                ALPHABET.iter().position(|symbol| *symbol == read).map(|value| value as u64).ok_or(InvalidOrderNumber)
            })
            .collect::<Result<_, _>>()?;
        let (check, digits) = symbols.split_last().ok_or(InvalidOrderNumber)?;
        if digits.len() != SYMBOLS {
            return Err(InvalidOrderNumber);
        }
        let value = digits.iter().fold(0, |value, digit| value << 5 | digit);
        if value % MODULUS == *check { Ok(Self(value)) } else { Err(InvalidOrderNumber) }
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BW-")?;
        for place in (0..SYMBOLS).rev() {
            let symbol = ALPHABET[(self.0 >> (5 * place) & 31) as usize];
            write!(f, "{}", char::from(symbol))?;
            if place == 3 {
                f.write_str("-")?;
            }
        }
        write!(f, "{}", char::from(ALPHABET[(self.0 % MODULUS) as usize]))
    }
}

impl fmt::Debug for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OrderNumber {
    type Err = InvalidOrderNumber;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for OrderNumber {
    type Error = InvalidOrderNumber;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<OrderNumber> for String {
    fn from(number: OrderNumber) -> Self {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_number() -> impl Strategy<Value = OrderNumber> {
        any::<u64>().prop_filter_map("no speakable check symbol", OrderNumber::from_random)
    }

    #[test]
    fn reads_what_people_write() {
        let number = OrderNumber::from_random(0x4_3210_FEDC).unwrap();
        let text = number.to_string();
        assert_eq!((text.len(), &text[..3], text.as_bytes()[7]), (12, "BW-", b'-'));
        for written in [text.to_lowercase(), text.replace('-', ""), text[3..].to_owned(), format!(" {text} ")] {
            assert_eq!(OrderNumber::parse(&written), Ok(number), "{written}");
        }
        assert_eq!(OrderNumber::parse("oooo-oooo"), OrderNumber::parse("BW-0000-0000"));
    }

    #[test]
    fn the_beginning_of_a_number_is_read_as_people_type_it() {
        let begins = |text: &str| OrderNumber::beginning(text);
        for whole in ["bw73n8ny3q", "BW-73N8-NY3Q", "bw 73n8 ny3q", "73N8-NY3Q", "73n8ny3q"] {
            assert_eq!(begins(whole).as_deref(), Some("BW-73N8-NY3Q"), "{whole}");
        }
        assert_eq!(begins("bw").as_deref(), Some("BW-"));
        assert_eq!(begins("BW-7").as_deref(), Some("BW-7"));
        assert_eq!(begins("bw73n8").as_deref(), Some("BW-73N8"));
        assert_eq!(begins("bw-oil1-0").as_deref(), Some("BW-0111-0"));
        for other in ["", "ann", "ada@example.org", "BW-73N8-NY3QX", "BW-UUUU", "50%", "é"] {
            assert_eq!(begins(other), None, "{other}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "BW-", "BW-0000-000", "BW-0000-00000", "BW-0000-0001", "BW-UUUU-UUUU", "\u{1F4DA}"] {
            assert_eq!(OrderNumber::parse(text), Err(InvalidOrderNumber), "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(number in any_number()) {
            prop_assert_eq!(OrderNumber::parse(&number.to_string()), Ok(number));
        }

        #[test]
        fn a_wrong_symbol_is_always_noticed(number in any_number(), place in 0_usize..8, shift in 1_usize..32) {
            let mut text: Vec<u8> = number.to_string().bytes().collect();
            let at = 3 + place + usize::from(place > 3);
            let symbol = ALPHABET.iter().position(|s| *s == text[at]).unwrap();
            text[at] = ALPHABET[(symbol + shift) % 32];
            prop_assert!(OrderNumber::parse(std::str::from_utf8(&text).unwrap()).is_err());
        }

        #[test]
        fn two_swapped_symbols_are_always_noticed(number in any_number(), place in 0_usize..7) {
            let mut text: Vec<u8> = number.to_string().bytes().filter(|b| *b != b'-').skip(2).collect();
            prop_assume!(text[place] != text[place + 1]);
            text.swap(place, place + 1);
            prop_assert!(OrderNumber::parse(std::str::from_utf8(&text).unwrap()).is_err());
        }
    }
}
