use serde::Serialize;

/// What readers think, in whole numbers so that it sorts the same everywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rating {
    /// The average of 1 to 5, times 100; 0 when nobody rated.
    pub(crate) hundredths: i64,
    /// How many rated.
    pub(crate) count: i64,
}

impl Rating {
    /// An average of 0 to 5 over `count` readers.
    pub(crate) fn new(average: f64, count: i64) -> Self {
        if count <= 0 || !average.is_finite() {
            return Self::default();
        }
        Self { hundredths: (average.clamp(0.0, 5.0) * 100.0).round() as i64, count }
    }

    /// The place among the best rated: the average as if 20 more readers had given 3.5, times 10,000. So a single five
    /// does not beat a thousand readers who agree on 4.8.
    pub(crate) fn key(self) -> i64 {
        const PRIOR: i64 = 350;
        const WEIGHT: i64 = 20;
        let count = self.count.clamp(0, 1_000_000_000);
        (self.hundredths * count + PRIOR * WEIGHT) * 100 / (count + WEIGHT)
    }

    /// 1 to 5; 0 when nobody rated.
    pub(crate) fn average(self) -> f64 {
        self.hundredths as f64 / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_readers_weigh_more_than_one() {
        assert!(Rating::new(4.8, 1000).key() > Rating::new(5.0, 1).key());
        assert!(Rating::new(5.0, 1).key() > Rating::default().key());
        assert!(Rating::new(1.0, 1000).key() < Rating::default().key());
        assert_eq!(Rating::new(f64::NAN, 3), Rating::default());
        assert_eq!(Rating::new(4.33, 7).average(), 4.33);
    }
}
