//! Whether anybody is there to answer.

use bookworm_config::OpeningHours;
use bookworm_kernel::Timestamp;

const MINUTES_PER_WEEK: i64 = 7 * 24 * 60;

/// Whether people answer at this time. No hours at all mean always.
#[must_use]
pub fn is_open(hours: &[OpeningHours], utc_offset_minutes: i32, now: Timestamp) -> bool {
    // 1 January 1970 was a Thursday, the fourth day from Monday.
    let minute = now.seconds().div_euclid(60) + i64::from(utc_offset_minutes) + 3 * 24 * 60;
    let minute_of_week = u32::try_from(minute.rem_euclid(MINUTES_PER_WEEK)).unwrap_or_default();
    hours.is_empty() || hours.iter().any(|hours| hours.include(minute_of_week))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("RFC 3339")
    }

    #[test]
    fn hours_are_those_of_the_shop() {
        let hours: Vec<OpeningHours> = vec!["mon-fri 09:00-18:00".parse().expect("hours")];
        // 2 March 2026 is a Monday.
        assert!(is_open(&hours, 0, at("2026-03-02T09:00:00Z")));
        assert!(!is_open(&hours, 0, at("2026-03-02T08:59:59Z")));
        assert!(!is_open(&hours, 0, at("2026-03-01T12:00:00Z")));
        assert!(is_open(&hours, 60, at("2026-03-02T08:00:00Z")), "nine o'clock in Berlin");
        assert!(!is_open(&hours, -480, at("2026-03-02T09:00:00Z")), "one o'clock in Seattle");
        assert!(is_open(&[], 0, at("2026-03-01T03:00:00Z")));
    }
}
