use bookworm_kernel::{PRIOR_STARS, bayesian_mean};

use super::Stars;

/// What the published reviews of a book give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// How many give 1, 2, ... 10 halves of a star.
    halves: [i64; 10],
}

impl Tally {
    /// From pairs of halves of stars and how many reviews give them.
    pub fn new(counts: impl IntoIterator<Item = (Stars, i64)>) -> Self {
        let mut tally = Self::default();
        for (stars, count) in counts {
            if let Some(slot) = usize::try_from(stars.halves() - 1).ok().and_then(|place| tally.halves.get_mut(place)) {
                *slot += count;
            }
        }
        tally
    }

    /// How many reviews.
    pub fn count(&self) -> i64 {
        self.halves.iter().sum()
    }

    /// The sum of their stars, in halves.
    pub fn half_stars(&self) -> i64 {
        (1..).zip(self.halves).map(|(halves, count)| halves * count).sum()
    }

    /// The plain mean in hundredths of a star; 0 when there are none.
    pub fn average_hundredths(&self) -> i64 {
        match self.count() {
            0 => 0,
            count => (self.half_stars() * 50 + count / 2) / count,
        }
    }

    /// The mean of somebody who expects what is expected of any book, in ten-thousandths of a star.
    pub fn bayesian_ten_thousandths(&self) -> i64 {
        bayesian_mean(self.half_stars() * 5_000, self.count(), PRIOR_STARS)
    }

    /// How many give 1, 2, 3, 4 and 5 stars; half a star counts as the whole that it begins.
    pub fn distribution(&self) -> [i64; 5] {
        std::array::from_fn(|star| self.halves[2 * star] + self.halves[2 * star + 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_adds_up() {
        let stars = |number| Stars::new(number).unwrap();
        let tally = Tally::new([(stars(5.0), 2), (stars(4.5), 1), (stars(0.5), 1)]);
        assert_eq!((tally.count(), tally.half_stars(), tally.average_hundredths()), (4, 30, 375));
        assert_eq!(tally.distribution(), [1, 0, 0, 0, 3]);
        assert_eq!(tally.bayesian_ten_thousandths(), 35_416, "(20 times 3.5, and 15) by 24");
        let none = Tally::default();
        assert_eq!((none.count(), none.average_hundredths(), none.bayesian_ten_thousandths()), (0, 0, 35_000));
    }
}
