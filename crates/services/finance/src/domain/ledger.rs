//! Double-entry bookkeeping. A transaction that does not sum to zero cannot be made.

use std::fmt;

use bookworm_kernel::{Currency, Money, MoneyError};
use uuid::Uuid;

/// An account of the ledger. Debits are positive, credits negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// Asset: what the payment provider has taken for us and owes us.
    ProviderClearing,
    /// Liability: what customers have paid for orders that they do not have yet.
    CustomerOrders,
    /// Income: orders that the customers have, tax included.
    Revenue,
    /// Less income: what coupons took off orders that the customers have.
    Discounts,
    /// Less income: money given back after the customer had the books.
    Refunds,
}

impl Account {
    /// All of them, in the order of a balance sheet.
    pub const ALL: &'static [Self] =
        &[Self::ProviderClearing, Self::CustomerOrders, Self::Revenue, Self::Discounts, Self::Refunds];

    /// The stable name, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderClearing => "provider_clearing",
            Self::CustomerOrders => "customer_orders",
            Self::Revenue => "revenue",
            Self::Discounts => "discounts",
            Self::Refunds => "refunds",
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a transaction books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The provider took the customer's money.
    Capture,
    /// Money went back.
    Refund,
    /// The customer has the books: the liability became income.
    Revenue,
    /// The customer has the books for less than they cost.
    Discount,
}

impl Kind {
    /// The stable name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Revenue => "revenue",
            Self::Discount => "discount",
        }
    }
}

/// One side of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Positive for a debit, negative for a credit.
    pub amount: Money,
}

impl Entry {
    /// A debit of this amount.
    #[must_use]
    pub const fn debit(account: Account, amount: Money) -> Self {
        Self { account, amount }
    }

    /// A credit of this amount.
    #[must_use]
    pub const fn credit(account: Account, amount: Money) -> Self {
        Self { account, amount: Money::new(amount.amount.wrapping_neg(), amount.currency) }
    }
}

/// Entries that do not make a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbalanced {
    /// Fewer than two entries.
    #[error("a transaction needs at least two entries")]
    TooFew,
    /// An entry of nothing.
    #[error("an entry must not be zero")]
    Zero,
    /// The entries do not sum to zero.
    #[error("the entries sum to {0} instead of zero")]
    Sum(Money),
    /// Two currencies, or a sum that does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// A transaction: at least two entries of one currency that sum to zero. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTransaction {
    kind: Kind,
    reference: Uuid,
    currency: Currency,
    entries: Vec<Entry>,
}

impl LedgerTransaction {
    /// A transaction of these entries. `kind` and `reference` together name what it books, once for all time: the
    /// payment for a capture, the refund for a refund, the order for revenue.
    ///
    /// # Errors
    /// [`Unbalanced`] when the entries do not sum to zero in one currency.
    pub fn new(kind: Kind, reference: Uuid, entries: Vec<Entry>) -> Result<Self, Unbalanced> {
        let (Some(first), true) = (entries.first(), entries.len() >= 2) else { return Err(Unbalanced::TooFew) };
        let currency = first.amount.currency;
        if entries.iter().any(|entry| entry.amount.amount == 0) {
            return Err(Unbalanced::Zero);
        }
        let sum = Money::sum(currency, entries.iter().map(|entry| entry.amount))?;
        if sum.amount != 0 {
            return Err(Unbalanced::Sum(sum));
        }
        Ok(Self { kind, reference, currency, entries })
    }

    /// Money taken for an order: the provider owes it to us, we owe the books to the customer.
    ///
    /// # Errors
    /// When the amount is zero.
    pub fn capture(payment: Uuid, amount: Money) -> Result<Self, Unbalanced> {
        let entries =
            vec![Entry::debit(Account::ProviderClearing, amount), Entry::credit(Account::CustomerOrders, amount)];
        Self::new(Kind::Capture, payment, entries)
    }

    /// Money given back: out of what we owe the customer while they wait for the books, and out of income when they
    /// have them.
    ///
    /// # Errors
    /// When the amount is zero.
    pub fn refund(refund: Uuid, amount: Money, delivered: bool) -> Result<Self, Unbalanced> {
        let from = if delivered { Account::Refunds } else { Account::CustomerOrders };
        Self::new(
            Kind::Refund,
            refund,
            vec![Entry::debit(from, amount), Entry::credit(Account::ProviderClearing, amount)],
        )
    }

    /// The customer has the books: the liability to them is now income.
    ///
    /// # Errors
    /// When the amount is zero.
    pub fn revenue(order: Uuid, amount: Money) -> Result<Self, Unbalanced> {
        let entries = vec![Entry::debit(Account::CustomerOrders, amount), Entry::credit(Account::Revenue, amount)];
        Self::new(Kind::Revenue, order, entries)
    }

    /// What a coupon took off an order that the customer has: income is what the order costs without it, less this.
    ///
    /// # Errors
    /// When the amount is zero.
    pub fn discount(order: Uuid, amount: Money) -> Result<Self, Unbalanced> {
        let entries = vec![Entry::debit(Account::Discounts, amount), Entry::credit(Account::Revenue, amount)];
        Self::new(Kind::Discount, order, entries)
    }

    /// What it books.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payment, refund or order it books.
    #[must_use]
    pub fn reference(&self) -> Uuid {
        self.reference
    }

    /// The one currency of its entries.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Its entries; they sum to zero.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    #[test]
    fn only_balanced_entries_of_one_currency_make_a_transaction() {
        use Account::{CustomerOrders, ProviderClearing};
        let new = |entries| LedgerTransaction::new(Kind::Capture, Uuid::nil(), entries);
        assert_eq!(new(vec![]), Err(Unbalanced::TooFew));
        assert_eq!(new(vec![Entry::debit(ProviderClearing, usd(1))]), Err(Unbalanced::TooFew));
        let (debit, credit) = (Entry::debit(ProviderClearing, usd(5)), Entry::credit(CustomerOrders, usd(4)));
        assert_eq!(new(vec![debit, credit]), Err(Unbalanced::Sum(usd(1))));
        let euro = Entry::credit(CustomerOrders, Money::new(5, Currency::EUR));
        assert!(matches!(new(vec![debit, euro]), Err(Unbalanced::Money(_))));
        assert_eq!(LedgerTransaction::capture(Uuid::nil(), usd(0)), Err(Unbalanced::Zero));
        assert!(LedgerTransaction::capture(Uuid::nil(), usd(5)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_built_sums_to_zero(amounts in prop::collection::vec(-1_000_i64..1_000, 0..6)) {
            let entries: Vec<_> =
                amounts.iter().map(|amount| Entry { account: Account::Revenue, amount: usd(*amount) }).collect();
            let sum: i64 = amounts.iter().sum();
            let allowed = amounts.len() >= 2 && sum == 0 && !amounts.contains(&0);
            let built = LedgerTransaction::new(Kind::Refund, Uuid::nil(), entries);
            prop_assert_eq!(built.is_ok(), allowed);
        }

        #[test]
        fn the_named_transactions_balance(amount in 1_i64..=i64::MAX, delivered in any::<bool>()) {
            for built in [
                LedgerTransaction::capture(Uuid::nil(), usd(amount)),
                LedgerTransaction::refund(Uuid::nil(), usd(amount), delivered),
                LedgerTransaction::revenue(Uuid::nil(), usd(amount)),
            ] {
                let built = built.expect("any positive amount balances");
                prop_assert_eq!(built.entries().iter().map(|e| i128::from(e.amount.amount)).sum::<i128>(), 0);
            }
        }
    }
}
