use std::fmt;

use serde::{Deserialize, Serialize};

/// How many copies of one book are wanted: 1 to 99.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 1, maximum = 99, example = 1)]
pub struct Quantity(u8);

/// The number is not between 1 and [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1 and 99, not {0}")]
pub struct InvalidQuantity(pub i64);

impl Quantity {
    /// The most copies of one book on one line.
    pub const MAX: u8 = 99;
    /// A single copy.
    pub const ONE: Self = Self(1);

    /// Checks the range.
    ///
    /// # Errors
    /// When the number is below 1 or above 99.
    pub fn new(pieces: i64) -> Result<Self, InvalidQuantity> {
        match u8::try_from(pieces) {
            Ok(pieces @ 1..=Self::MAX) => Ok(Self(pieces)),
            _ => Err(InvalidQuantity(pieces)),
        }
    }

    /// The plain number.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// Both together, or the error that names the sum.
    ///
    /// # Errors
    /// When the sum is above 99.
    pub fn plus(self, other: Self) -> Result<Self, InvalidQuantity> {
        Self::new(i64::from(self.0) + i64::from(other.0))
    }

    /// Both together, at most 99: for merging baskets, where refusing would lose a line.
    #[must_use]
    pub fn plus_capped(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::MAX))
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidQuantity;
    fn try_from(pieces: i64) -> Result<Self, Self::Error> {
        Self::new(pieces)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        Self::from(quantity.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pieces", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_one_to_ninety_nine() {
        for bad in [i64::MIN, -1, 0, 100, 256 + 1, i64::MAX] {
            assert_eq!(Quantity::new(bad), Err(InvalidQuantity(bad)));
        }
        assert_eq!(Quantity::new(99).map(Quantity::get), Ok(99));
    }

    #[test]
    fn a_sum_above_the_limit_is_refused_or_capped() {
        let most = Quantity::new(99).expect("in range");
        assert_eq!(most.plus(Quantity::ONE), Err(InvalidQuantity(100)));
        assert_eq!(most.plus_capped(most), most);
    }
}
