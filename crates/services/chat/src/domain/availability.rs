//! The shop's local time, by which opening hours are compared.

use bookworm_kernel::Timestamp;

const MINUTES_PER_WEEK: i64 = 7 * 24 * 60;

/// The minute of the week at this offset from UTC, in minutes: 0 is Monday's first, 10,079 Sunday's last.
#[must_use]
pub fn minute_of_week(utc_offset_minutes: i32, now: Timestamp) -> u32 {
    // 1 January 1970 was a Thursday, the fourth day from Monday.
    let minute = now.seconds().div_euclid(60) + i64::from(utc_offset_minutes) + 3 * 24 * 60;
    u32::try_from(minute.rem_euclid(MINUTES_PER_WEEK)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_begins_on_monday_in_the_shops_time() {
        let minute = |offset, text| minute_of_week(offset, Timestamp::parse(text).expect("RFC 3339"));
        // 2 March 2026 is a Monday.
        assert_eq!(minute(0, "2026-03-02T00:00:59Z"), 0);
        assert_eq!(minute(0, "2026-03-01T23:59:59Z"), 10_079);
        assert_eq!(minute(0, "2026-03-02T09:00:00Z"), 540);
        assert_eq!(minute(60, "2026-03-02T08:00:00Z"), 540, "nine o'clock in Berlin");
        assert_eq!(minute(-480, "2026-03-02T09:00:00Z"), 60, "one o'clock in Seattle");
        assert_eq!(minute(0, "1969-12-29T00:00:00Z"), 0, "before 1970");
    }
}
