//! Means that few ratings cannot move far.

/// How many ratings an expectation weighs against those that were given.
pub const PRIOR_WEIGHT: i64 = 20;
/// The stars that are expected of a book of which nothing is known: 3.5, in ten-thousandths.
pub const PRIOR_STARS: i64 = 35_000;

/// The Bayesian mean of `count` ratings that add up to `sum`: their mean as if [`PRIOR_WEIGHT`] more had given `prior`,
/// rounded down. `sum` and `prior` are in the same unit, in which the mean is, too; `count` is 0 or more.
#[must_use]
pub const fn bayesian_mean(sum: i64, count: i64, prior: i64) -> i64 {
    (sum + prior * PRIOR_WEIGHT) / (count + PRIOR_WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_ratings_say_little_and_many_say_all() {
        let of = |stars: i64, count| bayesian_mean(stars * 10_000 * count, count, PRIOR_STARS);
        assert_eq!((of(5, 0), of(5, 1), of(5, 20)), (35_000, 35_714, 42_500));
        assert_eq!(of(5, 1_000_000), 49_999);
        assert!(of(1, 1) < of(5, 0));
    }
}
