use bookworm_kernel::{PRIOR_STARS, bayesian_mean};
use serde::Serialize;

/// What readers elsewhere think, as an import says it; in whole numbers so that it sorts the same everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rating {
    /// The average of 1 to 5, times 100; 0 when nobody rated.
    pub(crate) hundredths: i64,
    /// How many rated.
    pub(crate) count: i64,
    /// Where they rated, if the import says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

impl Rating {
    /// An average of 0 to 5 over `count` readers.
    pub(crate) fn new(average: f64, count: i64, source: Option<String>) -> Self {
        if count <= 0 || !average.is_finite() {
            return Self::default();
        }
        Self { hundredths: (average.clamp(0.0, 5.0) * 100.0).round() as i64, count, source }
    }

    /// The place among the best rated while nobody has reviewed the book here: the average as if 20 more readers had
    /// given 3.5, times 10,000. So a single five does not beat a thousand readers who agree on 4.8.
    pub(crate) fn key(&self) -> i64 {
        let count = self.count.clamp(0, 1_000_000_000);
        bayesian_mean(self.hundredths * 100 * count, count, PRIOR_STARS)
    }

    /// 1 to 5; 0 when nobody rated.
    pub(crate) fn average(&self) -> f64 {
        self.hundredths as f64 / 100.0
    }
}

/// What the published reviews of this shop give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reviews {
    /// The sum of their stars, in halves.
    pub(crate) half_stars: i64,
    /// How many.
    pub(crate) count: i64,
}

impl Reviews {
    /// The plain mean, to two digits; 0 when there are none.
    pub(crate) fn average(self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.half_stars as f64 * 50.0 / self.count as f64).round() / 100.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_readers_weigh_more_than_one() {
        let rating = |average, count| Rating::new(average, count, None);
        assert!(rating(4.8, 1000).key() > rating(5.0, 1).key());
        assert!(rating(5.0, 1).key() > Rating::default().key());
        assert!(rating(1.0, 1000).key() < Rating::default().key());
        assert_eq!(rating(f64::NAN, 3), Rating::default());
        assert_eq!(rating(4.33, 7).average(), 4.33);
    }

    #[test]
    fn the_mean_of_reviews_is_plain() {
        let reviews = |half_stars, count| Reviews { half_stars, count };
        assert_eq!((reviews(0, 0).average(), reviews(9, 1).average(), reviews(22, 7).average()), (0.0, 4.5, 1.57));
    }
}
