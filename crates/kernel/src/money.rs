use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code, e.g. `USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "USD")]
pub struct Currency(iso_currency::Currency);

/// The text is not an ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 currency code such as USD or EUR")]
pub struct InvalidCurrency(pub String);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);
    /// Euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);

    /// Parses a three-letter code; case does not matter.
    ///
    /// # Errors
    /// When the code is not in ISO 4217.
    pub fn parse(code: &str) -> Result<Self, InvalidCurrency> {
        iso_currency::Currency::from_code(&code.to_ascii_uppercase())
            .map(Self)
            .ok_or_else(|| InvalidCurrency(code.to_owned()))
    }

    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit has: 2 for USD, 0 for JPY.
    #[must_use]
    pub fn exponent(self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(0))
    }

    /// The symbol to print in front of an amount, e.g. `$`.
    #[must_use]
    pub fn symbol(self) -> String {
        self.0.symbol().to_string()
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;
    fn try_from(code: String) -> Result<Self, Self::Error> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in the minor units of its currency: `Money::new(1299, USD)` is $12.99. May be negative (a ledger entry).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Money {
    /// Minor units, e.g. cents.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

/// Arithmetic on money that would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies met.
    #[error("{0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    /// The result does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

impl Money {
    /// An amount of minor units.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in this currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Adds an amount of the same currency.
    ///
    /// # Errors
    /// When the currencies differ or the sum overflows.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Subtracts an amount of the same currency.
    ///
    /// # Errors
    /// When the currencies differ or the difference overflows.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_sub(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// The price of several pieces.
    ///
    /// # Errors
    /// When the product overflows.
    pub fn times(self, pieces: u32) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(i64::from(pieces)).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// The part `basis_points`/10,000 of the amount, rounded half away from zero, as tax offices round.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn basis_points(self, basis_points: u32) -> Result<Self, MoneyError> {
        Self::ratio(self, i128::from(basis_points), 10_000)
    }

    /// The tax contained in a gross amount at this rate: `gross * rate / (1 + rate)`, rounded half away from zero.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn contained_basis_points(self, basis_points: u32) -> Result<Self, MoneyError> {
        Self::ratio(self, i128::from(basis_points), 10_000 + i128::from(basis_points))
    }

    /// Sums amounts of one currency; no amounts make zero of `currency`.
    ///
    /// # Errors
    /// When one is of another currency, or the sum overflows.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Spreads the amount, which is not negative, over `weights`, none of which is: each share is the exact one rounded
    /// down or up, and together they are the amount (largest remainder, Hamilton's method; ties go to the earlier one).
    /// `None` when there is something to spread and every weight is zero.
    #[must_use]
    pub fn spread(self, weights: &[Self]) -> Option<Vec<Self>> {
        let weight = |of: &Self| i128::from(of.amount.max(0));
        let (amount, all) = (i128::from(self.amount.max(0)), weights.iter().map(weight).sum::<i128>());
        if all == 0 {
            return (amount == 0).then(|| vec![Self::zero(self.currency); weights.len()]);
        }
        let mut shares: Vec<i128> = weights.iter().map(|of| amount * weight(of) / all).collect();
        let left = amount - shares.iter().sum::<i128>();
        let mut places: Vec<usize> = (0..weights.len()).collect();
        places.sort_by_key(|place| (std::cmp::Reverse(amount * weight(&weights[*place]) % all), *place));
        for place in places.into_iter().take(usize::try_from(left).unwrap_or(0)) {
            shares[place] += 1;
        }
        // A share is at most the amount.
        Some(
            shares
                .into_iter()
                .map(|share| Self::new(i64::try_from(share).unwrap_or(i64::MAX), self.currency))
                .collect(),
        )
    }

    fn ratio(self, numerator: i128, denominator: i128) -> Result<Self, MoneyError> {
        let product = i128::from(self.amount) * numerator;
        let half = denominator / 2;
        let rounded = if product >= 0 { product + half } else { product - half } / denominator;
        let amount = i64::try_from(rounded).map_err(|_| MoneyError::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(amount: i64, weights: &[i64]) -> Option<Vec<i64>> {
        let usd = |amount: &i64| Money::new(*amount, Currency::USD);
        let weights: Vec<Money> = weights.iter().map(usd).collect();
        Some(usd(&amount).spread(&weights)?.into_iter().map(|share| share.amount).collect())
    }

    #[test]
    fn shares_are_rounded_by_the_largest_remainder() {
        assert_eq!(spread(100, &[1, 1, 1]), Some(vec![34, 33, 33]), "the earlier of equals");
        assert_eq!(spread(10, &[1, 0, 2]), Some(vec![3, 0, 7]));
        assert_eq!(spread(2, &[1, 1, 1, 1, 6]), Some(vec![1, 0, 0, 0, 1]));
        assert_eq!(spread(0, &[0, 0]), Some(vec![0, 0]));
        assert_eq!((spread(1, &[0, 0]), spread(1, &[])), (None, None));
        assert_eq!(spread(i64::MAX, &[i64::MAX, i64::MAX]).map(|of| of.iter().sum::<i64>()), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_amount_and_are_the_exact_ones_rounded(
            amount in 0_i64..=i64::MAX,
            weights in prop::collection::vec(0_i64..=i64::MAX, 1..12),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let shares = spread(amount, &weights).unwrap();
            prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(amount));
            let all: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let down = i64::try_from(i128::from(amount) * i128::from(*weight) / all).unwrap();
                prop_assert!(*share == down || *share == down + 1, "{} of {}", share, down);
                prop_assert!(*weight > 0 || *share == 0);
            }
        }
    }

    #[test]
    fn currencies_never_mix() {
        let mixed = Money::new(1, Currency::USD).checked_add(Money::new(1, Currency::EUR));
        assert_eq!(mixed, Err(MoneyError::CurrencyMismatch(Currency::USD, Currency::EUR)));
    }

    #[test]
    fn overflow_is_an_error_and_not_a_wrap() {
        let most = Money::new(i64::MAX, Currency::USD);
        assert_eq!(most.checked_add(Money::new(1, Currency::USD)), Err(MoneyError::Overflow));
        assert_eq!(most.times(2), Err(MoneyError::Overflow));
    }

    #[test]
    fn rounds_half_away_from_zero() {
        assert_eq!(Money::new(50, Currency::USD).basis_points(100).map(|m| m.amount), Ok(1));
        assert_eq!(Money::new(-50, Currency::USD).basis_points(100).map(|m| m.amount), Ok(-1));
        assert_eq!(Money::new(49, Currency::USD).basis_points(100).map(|m| m.amount), Ok(0));
    }

    proptest! {
        #[test]
        fn adding_and_subtracting_returns(a in -1_000_000_000_000_i64..1_000_000_000_000, b in -1_000_000_000_000_i64..1_000_000_000_000) {
            let (a, b) = (Money::new(a, Currency::USD), Money::new(b, Currency::USD));
            prop_assert_eq!(a.checked_add(b).and_then(|sum| sum.checked_sub(b)), Ok(a));
        }

        #[test]
        fn net_and_contained_tax_make_the_gross(net in 0_i64..1_000_000_000, rate in 0_u32..5_000) {
            let net = Money::new(net, Currency::EUR);
            let gross = net.basis_points(rate).and_then(|tax| net.checked_add(tax)).expect("small");
            let contained = gross.contained_basis_points(rate).expect("small");
            let back = gross.checked_sub(contained).expect("small");
            prop_assert!((back.amount - net.amount).abs() <= 1);
        }

        #[test]
        fn json_round_trips(amount in any::<i64>()) {
            let money = Money::new(amount, Currency::USD);
            let json = serde_json::to_string(&money).expect("money is plain data");
            prop_assert_eq!(serde_json::from_str::<Money>(&json).expect("just written"), money);
        }
    }
}
