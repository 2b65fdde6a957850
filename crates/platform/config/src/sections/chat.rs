use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::chat_bot::ChatBot;
use crate::validate::{Validate, Validation};

/// The support chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chat {
    /// When people answer, such as `["mon-fri 09:00-18:00", "sat 10:00-14:00"]`. Outside of it a waiting customer is
    /// told so, and answered by mail. Default: empty, which is always.
    pub hours: Vec<OpeningHours>,
    /// The shop's offset from UTC in minutes, for `hours`: -720 to 840. Default 0.
    pub utc_offset_minutes: i32,
    /// For how many seconds an agent who vanished keeps their conversations: 1 to 3600. Default 30.
    pub agent_grace_seconds: u64,
    /// After how many hours without a word a conversation with the bot is closed: 1 to 8760. Default 24.
    pub idle_hours: u32,
    /// After how many hours without a word a resolved conversation is closed: 1 to 8760. Default 72.
    pub resolved_hours: u32,
    /// After how many days a closed conversation is deleted: 1 to 3650. Default 365.
    pub retention_days: u32,
    /// How many open conversations a customer, or one guest address, may have: 1 to 1000. Default 5.
    pub max_open: u32,
    /// How many messages a conversation may have: 10 to 100000. Default 5000.
    pub max_messages: u64,
    /// How many messages one connection may send at one go: 1 to 10000. Default 30.
    pub message_burst: u32,
    /// How many messages a minute it may send after that: 1 to 100000. Default 60.
    pub messages_per_minute: u32,
    /// How many people may be connected at once: 1 to 1000000. Default 20000.
    pub max_connections: u32,
    /// How many connections one address (IPv4) or one /64 (IPv6) may have: 1 to 1000000. Default 200.
    pub max_connections_per_address: u32,
    /// How many of the connections guests may have: 1 to 1000000. Default 10000, and never more than half of all.
    pub max_guest_connections: u32,
    /// How many connections guests of one address may have: 1 to 1000000. Default 50.
    pub max_guest_connections_per_address: u32,
    /// The folder of the shop's policies, one Markdown file for each, from which the bot quotes. Left out: `policies` in
    /// the data folder. A folder that is not there is made, with the policies that the program brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies_dir: Option<PathBuf>,
    /// The bot.
    pub bot: ChatBot,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            hours: Vec::new(),
            utc_offset_minutes: 0,
            agent_grace_seconds: 30,
            idle_hours: 24,
            resolved_hours: 72,
            retention_days: 365,
            max_open: 5,
            max_messages: 5000,
            message_burst: 30,
            messages_per_minute: 60,
            max_connections: 20_000,
            max_connections_per_address: 200,
            max_guest_connections: 10_000,
            max_guest_connections_per_address: 50,
            policies_dir: None,
            bot: ChatBot::default(),
        }
    }
}

impl Validate for Chat {
    fn validate(&self, v: &mut Validation) {
        v.range("utc_offset_minutes", self.utc_offset_minutes, -720..=840);
        v.range("agent_grace_seconds", self.agent_grace_seconds, 1..=3600);
        v.range("idle_hours", self.idle_hours, 1..=8760);
        v.range("resolved_hours", self.resolved_hours, 1..=8760);
        v.range("retention_days", self.retention_days, 1..=3650);
        v.range("max_open", self.max_open, 1..=1000);
        v.range("max_messages", self.max_messages, 10..=100_000);
        v.range("message_burst", self.message_burst, 1..=10_000);
        v.range("messages_per_minute", self.messages_per_minute, 1..=100_000);
        v.range("max_connections", self.max_connections, 1..=1_000_000);
        v.range("max_connections_per_address", self.max_connections_per_address, 1..=1_000_000);
        v.range("max_guest_connections", self.max_guest_connections, 1..=1_000_000);
        v.range("max_guest_connections_per_address", self.max_guest_connections_per_address, 1..=1_000_000);
        v.section("bot", &self.bot);
        if let Some(folder) = &self.policies_dir {
            v.check("policies_dir", !folder.as_os_str().is_empty(), "must not be empty");
        }
    }
}

/// Days of the week and a time of the day on them, such as `mon-fri 09:00-18:00` or `sun 10:00-24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpeningHours {
    /// The first day, 0 for Monday.
    first_day: u8,
    /// The last day; before the first when the days go around the end of the week.
    last_day: u8,
    /// Minutes after midnight.
    from: u16,
    /// Minutes after midnight, at most 24 hours.
    to: u16,
}

/// The text names no opening hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be days and a time such as `mon-fri 09:00-18:00` or `sat 10:00-14:00`")]
pub struct InvalidHours;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl OpeningHours {
    /// Whether they include this minute of the week; 0 is Monday's first.
    #[must_use]
    pub fn include(&self, minute_of_week: u32) -> bool {
        let (day, minute) = ((minute_of_week / 1440 % 7) as u8, (minute_of_week % 1440) as u16);
        let days = if self.first_day <= self.last_day {
            (self.first_day..=self.last_day).contains(&day)
        } else {
            day >= self.first_day || day <= self.last_day
        };
        days && (self.from..self.to).contains(&minute)
    }
}

impl FromStr for OpeningHours {
    type Err = InvalidHours;

    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let text = text.trim().to_ascii_lowercase();
        let (days, times) = text.split_once(' ').ok_or(InvalidHours)?;
        let day = |name: &str| DAYS.iter().position(|day| *day == name).map(|day| day as u8).ok_or(InvalidHours);
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, to) = times.trim().split_once('-').ok_or(InvalidHours)?;
        let hours = Self { first_day: day(first)?, last_day: day(last)?, from: minutes(from)?, to: minutes(to)? };
        if hours.from < hours.to { Ok(hours) } else { Err(InvalidHours) }
    }
}

fn minutes(text: &str) -> Result<u16, InvalidHours> {
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() == 2 {
        true => text.parse::<u16>().map_err(|_| InvalidHours),
        false => Err(InvalidHours),
    };
    let (hours, minutes) = text.split_once(':').ok_or(InvalidHours)?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let whole = hours * 60 + minutes;
    if minutes < 60 && whole <= 1440 { Ok(whole) } else { Err(InvalidHours) }
}

impl fmt::Display for OpeningHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (DAYS[usize::from(self.first_day)], DAYS[usize::from(self.last_day)]);
        f.write_str(first)?;
        if first != last {
            write!(f, "-{last}")?;
        }
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, " {}-{}", time(self.from), time(self.to))
    }
}

impl TryFrom<String> for OpeningHours {
    type Error = InvalidHours;

    fn try_from(text: String) -> Result<Self, InvalidHours> {
        text.parse()
    }
}

impl From<OpeningHours> for String {
    fn from(hours: OpeningHours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(day: u32, hour: u32, minute: u32) -> u32 {
        day * 1440 + hour * 60 + minute
    }

    #[test]
    fn hours_are_read_and_written() {
        for text in ["mon-fri 09:00-18:00", "sat 10:00-14:00", "fri-mon 00:00-24:00"] {
            assert_eq!(text.parse::<OpeningHours>().map(|hours| hours.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "mon",
            "mon 9-18",
            "mon 09:00-09:00",
            "mon 18:00-09:00",
            "day 09:00-18:00",
            "mon 09:60-18:00",
            "mon 09:00-24:01",
        ] {
            assert_eq!(bad.parse::<OpeningHours>(), Err(InvalidHours), "{bad}");
        }
    }

    #[test]
    fn the_end_is_not_included_and_days_go_around_the_week() {
        let work: OpeningHours = "mon-fri 09:00-18:00".parse().expect("hours");
        assert!(work.include(minute(0, 9, 0)) && work.include(minute(4, 17, 59)));
        assert!(!work.include(minute(0, 8, 59)) && !work.include(minute(4, 18, 0)) && !work.include(minute(5, 12, 0)));
        let weekend: OpeningHours = "sat-mon 10:00-12:00".parse().expect("hours");
        assert!([5, 6, 0].into_iter().all(|day| weekend.include(minute(day, 10, 0))));
        assert!([1, 2, 3, 4].into_iter().all(|day| !weekend.include(minute(day, 10, 0))));
    }
}
