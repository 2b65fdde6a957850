//! How much mail strangers can cause.
//!
//! What a stranger can cause is counted for the sender (the client's address), for the mailbox that it goes to, and in
//! all; each in an hour and in a day. Uses are counted in twelve buckets to the hour or day, and a bucket counts until
//! all of it is older than that: so a limit applies to any hour, and uses expire a twelfth of it late at most.

use std::time::Duration;

use bookworm_kernel::{Email, Timestamp};
use sha2::{Digest, Sha256};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Buckets of an hour or a day.
const BUCKETS: u32 = 12;

/// How many mails of one group may be caused. 0 is none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// By one sender in an hour.
    pub sender_hour: u32,
    /// By one sender in a day.
    pub sender_day: u32,
    /// To one mailbox in an hour.
    pub recipient_hour: u32,
    /// To one mailbox in a day.
    pub recipient_day: u32,
    /// To addresses that nobody has proved to be theirs, in an hour, by all senders together.
    pub all_hour: u32,
    /// The same in a day.
    pub all_day: u32,
}

/// The quota of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of [`Group::Account`].
    pub account: Quota,
    /// Of [`Group::Chat`].
    pub chat: Quota,
    /// Of [`Group::Contact`].
    pub contact: Quota,
    /// Of [`Group::Order`].
    pub order: Quota,
}

/// What a mail is about, as far as limits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Confirming an address, setting a password.
    Account,
    /// The support chat.
    Chat,
    /// Messages of the contact form. They cause no mail by themselves: the answers are the chat's.
    Contact,
    /// Orders.
    Order,
}

impl Group {
    /// The group of a kind of mail that others ask leave for.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "confirm_email" | "password_reset" => Some(Self::Account),
            "chat_transcript" => Some(Self::Chat),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Chat => "chat",
            Self::Contact => "contact",
            Self::Order => "order",
        }
    }

    fn quota(self, limits: &Limits) -> Quota {
        match self {
            Self::Account => limits.account,
            Self::Chat => limits.chat,
            Self::Contact => limits.contact,
            Self::Order => limits.order,
        }
    }
}

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The sender's.
    Sender,
    /// The mailbox's.
    Recipient,
    /// Everybody's.
    All,
}

impl Whose {
    /// In words, for staff.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Sender => "client's address",
            Self::Recipient => "mailbox",
            Self::All => "whole shop",
        }
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::All => "all",
        }
    }
}

/// A mail that somebody wants to cause.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What it is about.
    pub group: Group,
    /// The client's address, or what stands for it; empty when it is not known.
    pub sender: &'a str,
    /// Where it goes.
    pub recipient: &'a Email,
    /// Whether the mailbox's owner has proved it to be theirs: then only the other limits apply.
    pub proven: bool,
}

/// One limit, and what is counted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is counted, as a fingerprint: neither addresses nor mailboxes can be read from it.
    pub key: String,
    /// Whose it is.
    pub whose: Whose,
    /// How many.
    pub most: u32,
    /// In how long.
    pub per: Duration,
}

impl Limit {
    /// How long a bucket is.
    pub fn width(&self) -> Duration {
        self.per / BUCKETS
    }

    /// When the bucket that `now` is in began, in microseconds.
    pub fn bucket(&self, now: Timestamp) -> i64 {
        let width = i64::try_from(self.width().as_micros()).unwrap_or(i64::MAX);
        now.micros() - now.micros().rem_euclid(width)
    }

    /// When a bucket that began then counts no more.
    pub fn ends(&self, bucket: i64) -> Timestamp {
        Timestamp::from_micros(bucket).plus(self.width()).plus(self.per)
    }

    /// With these buckets (when each began, and its uses), oldest first: how long to wait before one more, `None` when
    /// there is room.
    pub fn wait(&self, buckets: &[(i64, u32)], now: Timestamp) -> Option<Duration> {
        let counting = || buckets.iter().filter(|(began, _)| self.ends(*began) > now);
        let mut used: u32 = counting().map(|(_, count)| count).sum();
        let mut wait = None;
        for (began, count) in counting() {
            if used < self.most {
                break;
            }
            used -= count;
            wait = Some(self.ends(*began).since(now));
        }
        if used < self.most { wait } else { Some(self.per) }
    }
}

/// The limits that apply to a mail, in an order that is the same for all: whoever counts, locks in this order.
pub fn limits(wish: Wish<'_>, settings: &Limits) -> Vec<Limit> {
    let quota = wish.group.quota(settings);
    let group = wish.group.name();
    let mut limits = Vec::new();
    let mut add = |whose: Whose, who: &str, hour: u32, day: u32| {
        for (name, per, most) in [("hour", HOUR, hour), ("day", DAY, day)] {
            let digest = Sha256::digest(format!("{group} {} {name} {who}", whose.name()));
            let key = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            limits.push(Limit { key, whose, most, per });
        }
    };
    if !wish.sender.is_empty() {
        add(Whose::Sender, wish.sender, quota.sender_hour, quota.sender_day);
    }
    add(Whose::Recipient, &wish.recipient.mailbox(), quota.recipient_hour, quota.recipient_day);
    if !wish.proven {
        add(Whose::All, "", quota.all_hour, quota.all_day);
    }
    limits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn three_an_hour() -> Limit {
        Limit { key: "k".to_owned(), whose: Whose::Sender, most: 3, per: HOUR }
    }

    #[test]
    fn the_fourth_within_an_hour_waits_until_the_first_is_forgotten() {
        let limit = three_an_hour();
        let bucket = |seconds| limit.bucket(at(seconds));
        assert_eq!(limit.wait(&[], at(0)), None);
        assert_eq!(limit.wait(&[(bucket(0), 2)], at(10)), None);
        let full = [(bucket(0), 1), (bucket(900), 2)];
        let wait = limit.wait(&full, at(1000)).unwrap();
        assert_eq!(limit.ends(bucket(0)).since(at(1000)), wait, "the first one goes first");
        assert_eq!(limit.wait(&full, at(1000).plus(wait)), None);
        assert!(wait >= HOUR - Duration::from_secs(1000) && wait <= HOUR);
        assert_eq!(Limit { most: 0, ..three_an_hour() }.wait(&[], at(0)), Some(HOUR), "none at all");
    }

    #[test]
    fn one_person_and_one_network_count_once_whatever_is_written() {
        let quota =
            Quota { sender_hour: 1, sender_day: 1, recipient_hour: 1, recipient_day: 1, all_hour: 1, all_day: 1 };
        let settings = Limits { account: quota, chat: quota, contact: quota, order: quota };
        let keys = |sender: &str, to: &str, proven: bool| {
            let recipient = Email::parse(to).unwrap();
            let wish = Wish { group: Group::Chat, sender, recipient: &recipient, proven };
            limits(wish, &settings).into_iter().map(|limit| limit.key).collect::<Vec<_>>()
        };
        assert_eq!(keys("a", "Ann+1@example.org", false), keys("a", "ann+2@EXAMPLE.org", false));
        assert_eq!(keys("a", "ann@example.org", false).len(), 6);
        assert_eq!(keys("", "ann@example.org", true).len(), 2, "only the mailbox counts");
        assert_ne!(keys("a", "ann@example.org", false)[0], keys("b", "ann@example.org", false)[0]);
        assert!(keys("192.0.2.1", "ann@example.org", false).iter().all(|key| key.len() == 32));
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_the_limit(gaps in proptest::collection::vec(0_u64..1200, 1..200)) {
            let limit = three_an_hour();
            let (mut now, mut buckets, mut granted) = (0, Vec::<(i64, u32)>::new(), Vec::new());
            for gap in gaps {
                now += gap;
                if limit.wait(&buckets, at(now)).is_none() {
                    granted.push(now);
                    let bucket = limit.bucket(at(now));
                    match buckets.iter_mut().find(|(began, _)| *began == bucket) {
                        Some((_, count)) => *count += 1,
                        None => buckets.push((bucket, 1)),
                    }
                }
            }
            for (i, first) in granted.iter().enumerate() {
                let within = granted[i..].iter().filter(|later| **later - first < 3600).count();
                prop_assert!(within <= 3, "{granted:?}");
            }
        }
    }
}
