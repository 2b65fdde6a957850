use serde::{Deserialize, Serialize};

/// Half a star to five, counted in halves: 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stars(u8);

impl Default for Stars {
    /// Half a star.
    fn default() -> Self {
        Self(1)
    }
}

/// Why a number is no rating.
#[derive(Debug, thiserror::Error)]
#[error("must be 0.5 to 5 in steps of 0.5, not {0}")]
pub(crate) struct InvalidStars(f64);

impl Stars {
    /// From a number of stars.
    pub fn new(stars: f64) -> Result<Self, InvalidStars> {
        let halves = stars * 2.0;
        match (1..=10).find(|known| f64::from(*known) == halves) {
            Some(halves) => Ok(Self(halves)),
            None => Err(InvalidStars(stars)),
        }
    }

    /// From what is stored.
    pub fn from_halves(halves: i64) -> Option<Self> {
        u8::try_from(halves).ok().filter(|halves| (1..=10).contains(halves)).map(Self)
    }

    pub fn halves(self) -> i64 {
        i64::from(self.0)
    }

    pub fn number(self) -> f64 {
        f64::from(self.0) / 2.0
    }

    /// The halves that count as so many whole stars: half a star counts as the whole that it begins.
    pub fn halves_of(whole: u8) -> std::ops::RangeInclusive<i64> {
        let top = i64::from(whole) * 2;
        top - 1..=top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_come_in_halves_from_a_half_to_five() {
        for halves in 1..=10 {
            let stars = Stars::new(f64::from(halves) / 2.0).unwrap();
            assert_eq!((stars.halves(), Stars::from_halves(halves.into())), (halves.into(), Some(stars)));
        }
        for bad in [0.0, -1.0, 0.25, 4.9, 5.5, 1e300, f64::NAN, f64::INFINITY, 2.500_000_1] {
            assert!(Stars::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Stars::from_halves(0).or(Stars::from_halves(11)).or(Stars::from_halves(-3)), None);
    }

    #[test]
    fn every_step_counts_as_one_number_of_whole_stars() {
        let steps: Vec<i64> = (1..=5).flat_map(Stars::halves_of).collect();
        assert_eq!(steps, (1..=10).collect::<Vec<_>>());
    }
}
