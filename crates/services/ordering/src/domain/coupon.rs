//! Coupons: what a code takes off, of which books, and when it is refused.

use std::fmt;

use bookworm_kernel::{BookId, Money, Timestamp};
use serde::{Deserialize, Serialize};

/// What customers type: 3 to 32 letters, digits and hyphens, in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CouponCode(String);

/// A text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 3 to 32 letters a to z, digits and hyphens")]
pub struct InvalidCode;

impl CouponCode {
    /// Reads a code as people type it: case does not matter, nor do blanks.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let code: String =
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).take(33).collect();
        let fits = (3..=32).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits { Ok(Self(code)) } else { Err(InvalidCode) }
    }

    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CouponCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a coupon takes off. Stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benefit {
    /// This part of what its books cost: 1 to 100.
    Percent(u32),
    /// So much, and at most what its books cost.
    Amount(Money),
    /// Delivery, up to what the cheapest way there costs.
    FreeDelivery,
}

/// Of which books a coupon counts: those that one of these names; all, when none does. Stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Names of subjects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Names of authors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// Names of publishers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publishers: Vec<String>,
    /// Single books.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub books: Vec<BookId>,
}

impl Scope {
    /// Whether it counts of every book.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it counts of this book. The case of names does not matter.
    #[must_use]
    pub fn has(&self, book: &Goods) -> bool {
        let any = |wanted: &[String], names: &[String]| {
            wanted.iter().any(|wanted| names.iter().any(|name| same(wanted, name)))
        };
        self.is_everything()
            || self.books.contains(&book.book_id)
            || any(&self.subjects, &book.subjects)
            || any(&self.authors, &book.authors)
            || any(&self.publishers, &book.publisher)
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// What staff have promised with a code. Stored; nobody changes it once it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// What customers type.
    pub code: CouponCode,
    /// What customers read beside the discount, e.g. `10% off poetry`.
    pub name: String,
    /// What it takes off.
    pub benefit: Benefit,
    /// Of which books.
    #[serde(default)]
    pub scope: Scope,
    /// What its books must cost together, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
    /// Whether it is for those who have not ordered before.
    #[serde(default)]
    pub first_order: bool,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when; at this moment it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many orders may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// How many orders of one customer may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_customer: Option<u32>,
}

/// The rule by which a code is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such code.
    #[error("We don’t know this code. Check the spelling.")]
    Unknown,
    /// Staff have stopped it.
    #[error("This code is no longer valid.")]
    Stopped,
    /// It begins later.
    #[error("This code isn’t valid yet.")]
    NotYet,
    /// It is over.
    #[error("This code has expired.")]
    Ended,
    /// As many orders have used it as may.
    #[error("This code has reached its limit.")]
    UsedUp,
    /// This customer has.
    #[error("You’ve already used this code.")]
    UsedBefore,
    /// This customer has ordered before.
    #[error("This code is for your first order only.")]
    FirstOrderOnly,
    /// Its books cost too little.
    #[error("Spend at least {0} on books this code applies to.")]
    Minimum(Money),
    /// It counts of none of these books.
    #[error("This code doesn’t apply to any book in your basket.")]
    NoBook,
    /// What it would take off costs nothing.
    #[error("This code wouldn’t take anything off this order.")]
    NothingToReduce,
}

impl Refusal {
    /// The stable name of the rule.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
            Self::NotYet => "not_yet",
            Self::Ended => "ended",
            Self::UsedUp => "used_up",
            Self::UsedBefore => "used_before",
            Self::FirstOrderOnly => "first_order_only",
            Self::Minimum(_) => "minimum",
            Self::NoBook => "no_book",
            Self::NothingToReduce => "nothing_to_reduce",
        }
    }
}

/// A line of what is bought, as far as coupons look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goods {
    /// The book.
    pub book_id: BookId,
    /// Names of its subjects.
    pub subjects: Vec<String>,
    /// Names of its authors.
    pub authors: Vec<String>,
    /// The name of its publisher; one at most.
    pub publisher: Vec<String>,
    /// What all copies cost.
    pub total: Money,
}

/// What a coupon does to a purchase: the lines of which it counts, in their order, and what it takes off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    /// Whether each line counts. One does.
    pub counts: Vec<bool>,
    /// What is taken off.
    pub benefit: Benefit,
}

impl Coupon {
    /// How many orders of one customer may use it.
    #[must_use]
    pub fn per_customer(&self) -> Option<u32> {
        if self.first_order { Some(1) } else { self.per_customer }
    }

    /// What it does to these lines now. How often it was used is not looked at here.
    ///
    /// # Errors
    /// The rule by which it is refused.
    pub fn reduce(&self, lines: &[Goods], now: Timestamp) -> Result<Reduction, Refusal> {
        if self.from.is_some_and(|from| now < from) {
            return Err(Refusal::NotYet);
        }
        if self.until.is_some_and(|until| now >= until) {
            return Err(Refusal::Ended);
        }
        let counts: Vec<bool> = lines.iter().map(|line| self.scope.has(line)).collect();
        if !counts.contains(&true) {
            return Err(Refusal::NoBook);
        }
        if let Some(minimum) = self.minimum {
            let these = lines.iter().zip(&counts).filter(|(_, counts)| **counts).map(|(line, _)| line.total);
            // Sums that do not fit are refused when the order is priced.
            if Money::sum(minimum.currency, these).is_ok_and(|sum| sum.amount < minimum.amount) {
                return Err(Refusal::Minimum(minimum));
            }
        }
        Ok(Reduction { counts, benefit: self.benefit })
    }
}

/// What a coupon took off an order, as the order stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// What the customer typed.
    pub code: CouponCode,
    /// What it was called then.
    pub name: String,
    /// The part of the discount that was taken off delivery; the rest is the lines'.
    pub off_shipping: Money,
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use bookworm_kernel::Currency;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);

    pub(crate) fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    pub(crate) fn coupon(benefit: Benefit) -> Coupon {
        Coupon {
            code: CouponCode::parse("spring").unwrap(),
            name: "Spring".to_owned(),
            benefit,
            scope: Scope::default(),
            minimum: None,
            first_order: false,
            from: None,
            until: None,
            max_uses: None,
            per_customer: None,
        }
    }

    fn goods(subject: &str, author: &str, publisher: Option<&str>, total: i64) -> Goods {
        Goods {
            book_id: BookId::new(),
            subjects: vec![subject.to_owned()],
            authors: vec![author.to_owned()],
            publisher: publisher.map(str::to_owned).into_iter().collect(),
            total: usd(total),
        }
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        for typed in ["spring-26", " Spring-26 ", "SPRING -26", "s p r i n g - 2 6"] {
            assert_eq!(CouponCode::parse(typed).unwrap().as_str(), "SPRING-26", "{typed}");
        }
        for bad in ["", "ab", "spring_26", "frühling", "a/b", "%00%00%00", &"x".repeat(33), &"x".repeat(100_000)] {
            assert_eq!(CouponCode::parse(bad), Err(InvalidCode), "{bad:.40}");
        }
    }

    #[test]
    fn it_counts_of_the_books_that_one_of_its_names_names() {
        let lines = [goods("Poetry", "Sappho", None, 900), goods("Sea", "H. Melville", Some("Norton"), 1500)];
        let counts = |scope: Scope| {
            let scoped = Coupon { scope, ..coupon(Benefit::Percent(10)) };
            scoped.reduce(&lines, NOW).map(|reduction| reduction.counts)
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(counts(Scope::default()), Ok(vec![true, true]));
        assert_eq!(counts(Scope { subjects: names(&["poetry "]), ..Scope::default() }), Ok(vec![true, false]));
        assert_eq!(counts(Scope { authors: names(&["h. melville"]), ..Scope::default() }), Ok(vec![false, true]));
        assert_eq!(counts(Scope { publishers: names(&["NORTON"]), ..Scope::default() }), Ok(vec![false, true]));
        assert_eq!(counts(Scope { books: vec![lines[0].book_id], ..Scope::default() }), Ok(vec![true, false]));
        let either = Scope { subjects: names(&["Poetry"]), publishers: names(&["Norton"]), ..Scope::default() };
        assert_eq!(counts(either), Ok(vec![true, true]), "one of them is enough");
        assert_eq!(counts(Scope { subjects: names(&["Poet"]), ..Scope::default() }), Err(Refusal::NoBook));
    }

    #[test]
    fn it_has_its_time_and_its_minimum() {
        let lines = [goods("Poetry", "Sappho", None, 900), goods("Sea", "H. Melville", None, 1500)];
        let (before, after) = (NOW.minus(Duration::from_secs(1)), NOW.plus(Duration::from_secs(1)));
        let plain = coupon(Benefit::FreeDelivery);
        let from = |from| Coupon { from: Some(from), ..plain.clone() }.reduce(&lines, NOW).err();
        assert_eq!((from(before), from(NOW), from(after)), (None, None, Some(Refusal::NotYet)));
        let until = |until| Coupon { until: Some(until), ..plain.clone() }.reduce(&lines, NOW).err();
        assert_eq!((until(before), until(NOW), until(after)), (Some(Refusal::Ended), Some(Refusal::Ended), None));
        let scope = Scope { subjects: vec!["Sea".to_owned()], ..Scope::default() };
        let least = |least| {
            Coupon { minimum: Some(usd(least)), scope: scope.clone(), ..plain.clone() }.reduce(&lines, NOW).err()
        };
        assert_eq!((least(1500), least(1501)), (None, Some(Refusal::Minimum(usd(1501)))), "its own books are meant");
    }

    #[test]
    fn a_first_order_is_a_limit_of_one() {
        let first = Coupon { first_order: true, per_customer: Some(5), ..coupon(Benefit::FreeDelivery) };
        assert_eq!((first.per_customer(), coupon(Benefit::FreeDelivery).per_customer()), (Some(1), None));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let stored = r#"{"code":"SPRING","name":"Spring","benefit":{"amount":{"amount":500,"currency":"USD"}},"scope":{"subjects":["Sea"]},"minimum":{"amount":1500,"currency":"USD"},"first_order":false,"until":"2026-03-01T12:00:00Z","max_uses":10}"#;
        let coupon: Coupon = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&coupon).unwrap(), stored);
        let least: Coupon = serde_json::from_str(r#"{"code":"ABC","name":"","benefit":"free_delivery"}"#).unwrap();
        assert!(least.scope.is_everything() && !least.first_order);
    }
}
