//! How the bus's names are written in NATS.

use std::fmt::Write;

/// The subjects of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub fn new(stream: &str) -> Self {
        Self { prefix: stream.to_ascii_lowercase() }
    }

    /// What the stream stores.
    pub fn all(&self) -> String {
        format!("{}.>", self.prefix)
    }

    /// Where a message of this subject travels.
    pub fn subject(&self, subject: &str) -> String {
        format!("{}.{subject}", self.prefix)
    }

    /// What a durable consumer wants beside its subjects: what is meant for it alone.
    pub fn revived(&self, durable: &str) -> String {
        format!("{}.revive.{durable}.>", self.prefix)
    }

    /// Where a message travels that is meant for one durable consumer.
    pub fn revive(&self, durable: &str, subject: &str) -> String {
        format!("{}.revive.{durable}.{subject}", self.prefix)
    }
}

/// A consumer's name as JetStream allows it, without dots: each name becomes another.
pub(crate) fn durable(consumer: &str) -> String {
    let mut name = String::new();
    for character in consumer.chars() {
        match character {
            '.' => name.push('-'),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => name.push(character),
            // What follows `=` is hexadecimal, and `=` itself is written so too.
            other => write!(name, "={:x}=", u32::from(other)).unwrap_or_default(),
        }
    }
    name
}

/// Whether it can be published to: words with dots between, and no wildcards.
pub(crate) fn is_subject(subject: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>'));
    subject.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_consumer_has_a_name_of_its_own() {
        let names = ["gateway.cache", "gateway-cache", "gateway_cache", "a.b.c", "a=2d=b", "a-b", "käfer", "a b", "*"];
        let written: std::collections::BTreeSet<String> = names.iter().map(|name| durable(name)).collect();
        assert_eq!(written.len(), names.len(), "{written:?}");
        assert_eq!(durable("gateway.cache"), "gateway-cache");
        assert!(written.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-=".contains(c))));
    }

    #[test]
    fn only_plain_subjects_are_published_to() {
        assert!(is_subject("events.catalog.BookChanged.v1"));
        for bad in ["", ".", "a..b", "a.", "a.*", "a.>", "a b", "a.\n"] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }
}
