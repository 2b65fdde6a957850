//! Amounts as people read and write them: by the decimals of their currency.

use std::fmt;

use crate::{Currency, Money};

/// A text is not an amount of a currency. The message says what to enter instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// It is no number, or it can be read in two ways (`1.234` is one dollar, or a thousand?).
    #[error("Enter an amount such as {}.", .0.sample())]
    NotAnAmount(Currency),
    /// It has a part of the smallest coin.
    #[error("{}", decimals(*.0))]
    TooManyDecimals(Currency),
    /// It does not fit 64 bits.
    #[error("The amount is too large.")]
    TooLarge,
}

fn decimals(currency: Currency) -> String {
    let (code, sample) = (currency.code(), currency.sample());
    match currency.exponent() {
        0 => format!("{code} has no decimals. Enter an amount such as {sample}."),
        1 => format!("{code} has 1 decimal. Enter an amount such as {sample}."),
        n => format!("{code} has {n} decimals. Enter an amount such as {sample}."),
    }
}

impl Currency {
    /// An amount as it is typed, for messages and hints: `12.50`, `1234` in yen, `12.500` in dinars of Bahrain.
    #[must_use]
    pub fn sample(self) -> &'static str {
        match self.exponent() {
            0 => "1234",
            1 => "12.5",
            2 => "12.50",
            3 => "12.500",
            _ => "12.5000",
        }
    }

    /// Reads an amount as people type it: `12.5`, `12,50`, `$1,008.00`, `1.234,50`, `1 234,50`, `1'234.50`, `EUR 5`.
    /// Decimals that the currency does not have may only be zeros: `1299.00` is ¥1,299.
    ///
    /// A single separator before three digits is read where its meaning is certain: `1,234`
    /// is a thousand in a currency that has other than three decimals. `1.234` is not read there, nor is `1,234` where
    /// three decimals are usual, because money is never guessed.
    ///
    /// # Errors
    /// [`InvalidAmount`]; an amount below zero is none.
    pub fn parse_amount(self, text: &str) -> Result<Money, InvalidAmount> {
        let wrong = InvalidAmount::NotAnAmount(self);
        let (whole, part) = split(self.bare(text), self.exponent() as usize).ok_or(wrong)?;
        let exponent = self.exponent() as usize;
        let kept = part.trim_end_matches('0');
        if kept.len() > exponent {
            return Err(InvalidAmount::TooManyDecimals(self));
        }
        let digits = format!("{whole}{kept:0<exponent$}");
        let digits = digits.trim_start_matches('0');
        let amount = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| InvalidAmount::TooLarge)? };
        Ok(Money::new(amount, self))
    }

    /// The text without blanks, symbol and code around it.
    fn bare(self, text: &str) -> &str {
        let symbol = self.symbol();
        let mut text = text.trim();
        for mark in [self.code(), symbol.as_str()] {
            let ascii_case = |part: Option<&str>| part.is_some_and(|part| part.eq_ignore_ascii_case(mark));
            if ascii_case(text.get(..mark.len())) {
                text = text[mark.len()..].trim_start();
            }
            if text.len() >= mark.len() && ascii_case(text.get(text.len() - mark.len()..)) {
                text = text[..text.len() - mark.len()].trim_end();
            }
        }
        text
    }

    /// Minor units that are worth about `cents` US cents, as a plain figure: for defaults and for steps of a filter,
    /// never for converting money.
    #[must_use]
    pub fn about(self, cents: i64) -> i64 {
        // Units for a dollar, in tenths, rounded so that prices made of them look like prices.
        let tenths = match self.code() {
            "BHD" | "JOD" | "KWD" | "OMR" => 5,
            "BRL" | "ILS" | "MYR" | "PLN" | "QAR" | "RON" | "SAR" | "AED" => 40,
            "CNY" | "DKK" | "HKD" | "NOK" | "SEK" | "BOB" | "GTQ" => 100,
            "MXN" | "CZK" | "ZAR" | "TRY" | "THB" | "TWD" | "UAH" | "UYU" => 200,
            "INR" | "PHP" | "RUB" | "BDT" | "EGP" | "DOP" | "RSD" | "ISK" | "JPY" | "KES" | "LKR" => 1_000,
            "HUF" | "PKR" | "KZT" | "XOF" | "XAF" | "CRC" => 4_000,
            "KRW" | "CLP" | "ARS" | "NGN" => 10_000,
            "COP" => 40_000,
            "IDR" | "VND" | "UGX" | "PYG" => 100_000,
            _ => 10,
        };
        cents * tenths * 10_i64.pow(self.exponent()) / 1_000
    }
}

/// Whole and decimal digits of a number; `None` when it is none or can be read in two ways.
fn split(text: &str, exponent: usize) -> Option<(String, String)> {
    let text: String = text.chars().map(|c| if matches!(c, '\u{a0}' | '\u{202f}') { ' ' } else { c }).collect();
    let text = text.replace('\u{2019}', "'");
    if !text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\'')) {
        return None;
    }
    let (points, commas) = (text.matches('.').count(), text.matches(',').count());
    let last = text.rfind(['.', ',']);
    let decimal = match (last, points, commas) {
        (None, ..) => None,
        // Both: the last one parts the decimals, the other groups.
        (Some(at), 1.., 1..) => Some(at),
        // One kind several times can only group.
        (Some(_), 2.., 0) | (Some(_), 0, 2..) => None,
        (Some(at), ..) => {
            let (before, after) = (text[..at].trim_start_matches('0'), &text[at + 1..]);
            let like_a_group = after.len() == 3 && (1..=3).contains(&before.len());
            match (like_a_group, commas == 1) {
                (false, _) => Some(at),
                (true, true) if exponent != 3 => None,
                (true, false) if exponent == 3 => Some(at),
                (true, _) => return None,
            }
        }
    };
    let (whole, part) = decimal.map_or((text.as_str(), ""), |at| (&text[..at], &text[at + 1..]));
    if decimal.is_some() && part.is_empty() || !part.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mark = decimal.and_then(|at| text[at..].chars().next());
    Some((ungrouped(whole, mark)?, part.to_owned()))
}

/// The digits of `1,234,567`; groups but the first have three, and one separator that does not part the decimals too.
fn ungrouped(whole: &str, decimal: Option<char>) -> Option<String> {
    let separator = whole.chars().find(|c| !c.is_ascii_digit());
    let Some(separator) = separator else { return (!whole.is_empty()).then(|| whole.to_owned()) };
    let mut groups = whole.split(separator);
    let first = groups.next().unwrap_or_default();
    let sound = decimal != Some(separator)
        && (1..=3).contains(&first.len())
        && first.chars().all(|c| c.is_ascii_digit())
        && groups.clone().all(|group| group.len() == 3 && group.chars().all(|c| c.is_ascii_digit()));
    sound.then(|| std::iter::once(first).chain(groups).collect())
}

impl Money {
    /// The amount alone, to be typed over: `1299.05`, `1299` in yen.
    #[must_use]
    pub fn decimal(self) -> String {
        let (sign, whole, part) = self.parts();
        format!("{sign}{whole}{part}")
    }

    /// Sign, whole units, and the decimals with their point.
    fn parts(self) -> (&'static str, u64, String) {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let (sign, amount) = (if self.amount < 0 { "-" } else { "" }, self.amount.unsigned_abs());
        let part = if exponent == 0 {
            String::new()
        } else {
            format!(".{:0width$}", amount % unit, width = exponent as usize)
        };
        (sign, amount / unit, part)
    }
}

impl fmt::Display for Money {
    /// As a person reads it: `$1,008.00`, `¥1,299`, `-€0.50`; with the code where the currency has no sign of its own:
    /// `CHF 12.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, whole, part) = self.parts();
        let symbol = self.currency.symbol();
        // Letters and points are no sign that people know by sight, nor is that of the franc.
        let known = !symbol.chars().any(|c| c.is_ascii_lowercase() || (!c.is_ascii() && c.is_alphabetic()) || c == '.');
        if !known || symbol.eq_ignore_ascii_case(self.currency.code()) || symbol == "₣" {
            write!(f, "{sign}{}\u{a0}", self.currency.code())?;
        } else {
            write!(f, "{sign}{symbol}")?;
        }
        let digits = whole.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        f.write_str(&part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("the code is in ISO 4217")
    }

    #[test]
    fn is_written_by_the_decimals_of_the_currency() {
        let written = [
            (100_800, "USD", "$1,008.00"),
            (1299, "USD", "$12.99"),
            (-50, "EUR", "-€0.50"),
            (-123_456_789, "GBP", "-£1,234,567.89"),
            (1299, "JPY", "¥1,299"),
            (0, "JPY", "¥0"),
            (1_234_500, "BHD", "BHD\u{a0}1,234.500"),
            (123_450, "CHF", "CHF\u{a0}1,234.50"),
            (99_900, "SEK", "SEK\u{a0}999.00"),
        ];
        for (amount, code, text) in written {
            assert_eq!(Money::new(amount, currency(code)).to_string(), text);
        }
        assert_eq!(Money::new(i64::MIN, currency("JPY")).to_string(), "-¥9,223,372,036,854,775,808");
    }

    #[test]
    fn is_read_as_people_type_it() {
        let read = [
            ("12.5", "USD", 1250),
            ("12,50", "EUR", 1250),
            (" $1,008.00 ", "USD", 100_800),
            ("1.234,50 €", "EUR", 123_450),
            ("1 234,50", "EUR", 123_450),
            ("1\u{202f}234,50", "EUR", 123_450),
            ("CHF 1'234.50", "CHF", 123_450),
            ("chf 1’234.50", "CHF", 123_450),
            ("1,234", "USD", 123_400),
            ("1,234,567", "USD", 123_456_700),
            ("1.234.567", "EUR", 123_456_700),
            ("0.5", "USD", 50),
            ("0", "USD", 0),
            ("007", "USD", 700),
            ("1,234", "JPY", 1234),
            ("¥1234", "JPY", 1234),
            ("1299.00", "JPY", 1299),
            ("12.990000", "USD", 1299),
            ("1.234", "BHD", 1234),
            ("BHD\u{a0}1,234.500", "BHD", 1_234_500),
            ("0.123", "BHD", 123),
        ];
        for (text, code, amount) in read {
            assert_eq!(currency(code).parse_amount(text), Ok(Money::new(amount, currency(code))), "{text} {code}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_an_example_in_the_currency() {
        let refused = [
            ("", "USD", "Enter an amount such as 12.50."),
            ("-1", "USD", "Enter an amount such as 12.50."),
            ("1e3", "EUR", "Enter an amount such as 12.50."),
            ("1.234", "USD", "Enter an amount such as 12.50."),
            ("1,234", "BHD", "Enter an amount such as 12.500."),
            ("twelve", "JPY", "Enter an amount such as 1234."),
            ("1.", "USD", "Enter an amount such as 12.50."),
            (".5", "USD", "Enter an amount such as 12.50."),
            ("1,2,3", "USD", "Enter an amount such as 12.50."),
            ("12,34.5,6", "USD", "Enter an amount such as 12.50."),
            ("1,234,56", "USD", "Enter an amount such as 12.50."),
            ("€5", "USD", "Enter an amount such as 12.50."),
            ("12.99", "JPY", "JPY has no decimals. Enter an amount such as 1234."),
            ("12.345678", "USD", "USD has 2 decimals. Enter an amount such as 12.50."),
            ("0.1234", "BHD", "BHD has 3 decimals. Enter an amount such as 12.500."),
            ("99999999999999999999", "USD", "The amount is too large."),
        ];
        for (text, code, message) in refused {
            let error = currency(code).parse_amount(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text} {code}");
        }
    }

    #[test]
    fn defaults_fit_the_currency() {
        assert_eq!(Currency::USD.about(490), 490);
        assert_eq!(currency("JPY").about(490), 490);
        assert_eq!(currency("KRW").about(500), 5_000);
        assert_eq!(currency("SEK").about(490), 4_900);
        assert_eq!(currency("BHD").about(490), 2_450);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            amount in 0_i64..,
            code in prop::sample::select(vec!["USD", "EUR", "JPY", "BHD", "CHF", "CLF", "INR", "KWD", "SEK", "GBP"]),
        ) {
            let money = Money::new(amount, currency(code));
            prop_assert_eq!(currency(code).parse_amount(&money.decimal()), Ok(money));
            let shown = money.to_string();
            // `BHD 1,234.000` always has its decimals, so that its comma can only group.
            prop_assert_eq!(currency(code).parse_amount(&shown), Ok(money), "{}", shown);
        }

        #[test]
        fn any_text_is_answered(text in "[-0-9., '€$]{0,12}") {
            for code in ["USD", "JPY", "BHD"] {
                if let Ok(money) = currency(code).parse_amount(&text) {
                    prop_assert!(money.amount >= 0);
                }
            }
        }
    }
}
