use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Date, OffsetDateTime, UtcOffset, macros::format_description};

use crate::Timestamp;

/// The place whose clocks the shop goes by: a time zone of the IANA database, such as `Europe/Berlin`, with its daylight
/// saving time. The database is part of the program, so that a bare machine knows it too.
///
/// What people read is written here: whole months, hours and minutes, no seconds. JSON and settings: the name.
#[derive(Clone, Copy)]
pub struct TimeZone {
    name: &'static str,
    rules: &'static tz::TimeZoneRef<'static>,
}

/// No time zone has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the IANA name of a time zone, such as Europe/Berlin or America/New_York, not `{0}`")]
pub struct UnknownTimeZone(pub String);

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self { name: "UTC", rules: &tzdb_data::time_zone::UTC };

    /// Finds a zone by its name, in capitals or not.
    ///
    /// # Errors
    /// When the database has no such name.
    pub fn parse(name: &str) -> Result<Self, UnknownTimeZone> {
        let trimmed = name.trim();
        let unknown = || UnknownTimeZone(name.to_owned());
        let rules = tzdb_data::find_tz(trimmed.as_bytes()).ok_or_else(unknown)?;
        let known = tzdb_data::TZ_NAMES.iter().find(|known| known.eq_ignore_ascii_case(trimmed)).ok_or_else(unknown)?;
        Ok(Self { name: known, rules })
    }

    /// As the database spells it, e.g. `Europe/Berlin`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What a clock there shows at this instant.
    #[must_use]
    pub fn local(self, at: Timestamp) -> OffsetDateTime {
        let utc = at.to_datetime();
        self.rules
            .find_local_time_type(at.seconds())
            .ok()
            .and_then(|local| UtcOffset::from_whole_seconds(local.ut_offset()).ok())
            .and_then(|offset| utc.checked_to_offset(offset))
            .unwrap_or(utc)
    }

    /// When a day, written `2026-11-29`, begins there; `None` when the text is no day. Where clocks skip midnight, an hour
    /// around it.
    #[must_use]
    pub fn start_of_day(self, date: &str) -> Option<Timestamp> {
        let date = Date::parse(date.trim(), format_description!("[year]-[month]-[day]")).ok()?;
        let midnight = i64::try_from(date.midnight().assume_utc().unix_timestamp_nanos() / 1000).ok()?;
        // The offset of the place is that of the moment, which is known but for the offset: twice is enough.
        let shifted = |by: Timestamp| {
            let offset = i64::from(self.local(by).offset().whole_seconds());
            Timestamp::from_micros(midnight.saturating_sub(offset * 1_000_000))
        };
        Some(shifted(shifted(Timestamp::from_micros(midnight))))
    }

    /// `29 November 2026`
    #[must_use]
    pub fn date(self, at: Timestamp) -> String {
        let format = format_description!("[day padding:none] [month repr:long] [year]");
        self.local(at).format(format).unwrap_or_default()
    }

    /// `17:15`
    #[must_use]
    pub fn time(self, at: Timestamp) -> String {
        self.local(at).format(format_description!("[hour]:[minute]")).unwrap_or_default()
    }

    /// `29 November 2026, 17:15`
    #[must_use]
    pub fn date_time(self, at: Timestamp) -> String {
        format!("{}, {}", self.date(at), self.time(at))
    }

    /// `29 November 2026, 17:15 CET`, for those who may be elsewhere.
    #[must_use]
    pub fn date_time_zone(self, at: Timestamp) -> String {
        let zone =
            self.rules.find_local_time_type(at.seconds()).map_or("UTC", tz::LocalTimeType::time_zone_designation);
        // Zones without letters of their own call themselves by their offset, e.g. `+03`.
        let sign = if zone.starts_with(['+', '-']) { "UTC" } else { "" };
        format!("{} {sign}{zone}", self.date_time(at))
    }

    /// As somebody would say it at `now`: `today, 17:15`, `yesterday, 17:15`, `tomorrow, 17:15`, or `27 November 2026,
    /// 17:15`.
    #[must_use]
    pub fn relative(self, at: Timestamp, now: Timestamp) -> String {
        let days = self.local(at).date().to_julian_day() - self.local(now).date().to_julian_day();
        let day = match days {
            -1 => "yesterday",
            0 => "today",
            1 => "tomorrow",
            _ => return self.date_time(at),
        };
        format!("{day}, {}", self.time(at))
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl std::str::FromStr for TimeZone {
    type Err = UnknownTimeZone;
    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        Self::parse(name)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::parse(name).expect("a zone")
    }

    #[test]
    fn a_day_begins_when_it_does_there() {
        let begins = |name: &str, day: &str| zone(name).start_of_day(day).map(|at| at.to_string());
        assert_eq!(
            begins("UTC", " 2026-11-29 "),
            Timestamp::parse("2026-11-29T00:00:00Z").ok().map(|at| at.to_string())
        );
        for (name, day, at) in [
            ("Europe/Berlin", "2026-11-29", "2026-11-28T23:00:00Z"),
            ("Europe/Berlin", "2026-07-01", "2026-06-30T22:00:00Z"),
            ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z"),
            ("America/New_York", "2026-11-02", "2026-11-02T05:00:00Z"),
            ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z"),
            ("Pacific/Kiritimati", "2026-01-01", "2025-12-31T10:00:00Z"),
        ] {
            assert_eq!(zone(name).start_of_day(day), Timestamp::parse(at).ok(), "{name} {day}");
        }
        for bad in ["", "2026-02-29", "29.11.2026", "2026-11-29T00:00", "tomorrow"] {
            assert_eq!(begins("UTC", bad), None, "{bad}");
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("RFC 3339")
    }

    #[test]
    fn names_are_those_of_the_database() {
        for (name, known) in
            [("Europe/Berlin", "Europe/Berlin"), (" america/new_york ", "America/New_York"), ("utc", "UTC")]
        {
            assert_eq!(zone(name).name(), known);
        }
        for bad in ["", "Berlin", "Europe/Atlantis", "+02:00", "CEST", "Europe/Berlin; DROP TABLE", "../etc/passwd"] {
            assert_eq!(TimeZone::parse(bad), Err(UnknownTimeZone(bad.to_owned())), "{bad}");
        }
        assert_eq!(serde_json::from_str::<TimeZone>("\"Asia/Tokyo\"").expect("a zone"), zone("Asia/Tokyo"));
        let refused = serde_json::from_str::<TimeZone>("\"Mars/Olympus\"").expect_err("no such zone").to_string();
        assert!(refused.contains("must be the IANA name of a time zone, such as Europe/Berlin"), "{refused}");
    }

    #[test]
    fn clocks_go_forward_and_back() {
        for (name, instant, words) in [
            ("UTC", "2026-11-29T17:15:59Z", "29 November 2026, 17:15 UTC"),
            ("Europe/Berlin", "2026-11-29T17:15:00Z", "29 November 2026, 18:15 CET"),
            ("Europe/Berlin", "2026-07-01T22:30:00Z", "2 July 2026, 00:30 CEST"),
            ("Europe/Berlin", "2026-03-29T00:59:59Z", "29 March 2026, 01:59 CET"),
            ("Europe/Berlin", "2026-03-29T01:00:00Z", "29 March 2026, 03:00 CEST"),
            ("America/New_York", "2026-01-01T03:00:00Z", "31 December 2025, 22:00 EST"),
            ("Asia/Kolkata", "2026-11-29T20:00:00Z", "30 November 2026, 01:30 IST"),
            ("Asia/Dubai", "2026-11-29T20:00:00Z", "30 November 2026, 00:00 UTC+04"),
            // Far after the last change that the database lists, its rule goes on.
            ("Europe/Berlin", "2090-07-01T10:00:00Z", "1 July 2090, 12:00 CEST"),
        ] {
            assert_eq!(zone(name).date_time_zone(at(instant)), words, "{name} {instant}");
        }
    }

    #[test]
    fn days_near_now_have_names() {
        let berlin = zone("Europe/Berlin");
        let now = at("2026-11-29T16:15:00Z");
        for (instant, words) in [
            ("2026-11-29T16:15:00Z", "today, 17:15"),
            ("2026-11-28T23:00:00Z", "today, 00:00"),
            ("2026-11-28T22:59:59Z", "yesterday, 23:59"),
            ("2026-11-29T23:00:00Z", "tomorrow, 00:00"),
            ("2026-11-27T12:00:00Z", "27 November 2026, 13:00"),
            ("2025-11-29T12:00:00Z", "29 November 2025, 13:00"),
        ] {
            assert_eq!(berlin.relative(at(instant), now), words, "{instant}");
        }
        assert_eq!(
            TimeZone::UTC.relative(at("2026-11-28T23:30:00Z"), now),
            "yesterday, 23:30",
            "elsewhere it is another day"
        );
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        for micros in [i64::MIN, i64::MAX, 0] {
            let _ = zone("Pacific/Auckland").date_time_zone(Timestamp::from_micros(micros));
        }
    }
}
