//! What an import file leaves open: a price and a stock that are plausible, and the same each time.

use bookworm_kernel::Currency;
use sha2::{Digest, Sha256};

fn seed(source_id: &str) -> u64 {
    let hash = Sha256::digest(source_id.as_bytes());
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// A price in minor units for a book that has none: more for a thicker one, between 6 and 60 units of the currency.
pub(crate) fn price(source_id: &str, pages: Option<i64>, currency: Currency) -> i64 {
    let major = 7 + pages.unwrap_or(260).clamp(0, 2_000) / 45 + (seed(source_id) % 5) as i64;
    let unit = 10_i64.pow(currency.exponent());
    let scale = if unit == 1 { 100 } else { 1 };
    major.min(60) * unit * scale - i64::from(unit > 1)
}

/// Copies of a book whose stock is not told: 5 to 50.
pub(crate) fn stock(source_id: &str) -> i64 {
    5 + (seed(source_id) >> 16) as i64 % 46
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_book_always_costs_the_same() {
        assert_eq!(price("gr:2", Some(870), Currency::USD), price("gr:2", Some(870), Currency::USD));
        assert_eq!(stock("gr:2"), stock("gr:2"));
    }

    proptest! {
        #[test]
        fn estimates_are_plausible(source_id in "\\PC{0,30}", pages in proptest::option::of(any::<i64>())) {
            let cents = price(&source_id, pages, Currency::USD);
            prop_assert!((599..=6_000).contains(&cents), "{}", cents);
            prop_assert_eq!(cents % 100, 99);
            prop_assert!((5..=50).contains(&stock(&source_id)));
        }
    }
}
