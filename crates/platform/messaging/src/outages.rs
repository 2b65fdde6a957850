//! What the log hears while the bus is away: each kind of failure when it begins, each ten minutes how often it was met, and
//! when it is over, however many consumers and outboxes of this process meet it.

use std::{error::Error, sync::LazyLock};

use bookworm_resilience::{Note, Outage};

/// A kind of failure.
pub(crate) struct Kind {
    /// What goes wrong.
    what: &'static str,
    outage: LazyLock<Outage>,
}

/// The bus does not answer who asks it for messages.
pub(crate) static SILENT: Kind = Kind::new("the bus does not answer");
/// It does not take what became of a message.
pub(crate) static DEAF: Kind = Kind::new("the bus does not take what became of messages: they come again");
/// It does not take new messages.
pub(crate) static SHUT: Kind = Kind::new("messages wait in the outbox");
/// A reaction meets something that does not answer.
pub(crate) static HELD: Kind = Kind::new("reactions wait for what does not answer");

impl Kind {
    const fn new(what: &'static str) -> Self {
        Self { what, outage: LazyLock::new(Outage::default) }
    }

    /// `who` met it.
    pub(crate) fn met(&self, who: &str, error: &(dyn Error + 'static)) {
        match self.outage.failed() {
            Some(Note::GoesOn { failed }) => tracing::warn!(who, error, failed, "still: {}", self.what),
            Some(_) => tracing::warn!(who, error, "{}", self.what),
            None => tracing::debug!(who, error, "{}", self.what),
        }
    }

    /// Somebody did not meet it where they could have.
    pub(crate) fn passed(&self) {
        if let Some(Note::Ended { failed, lasted }) = self.outage.answered() {
            tracing::info!(failed, seconds = lasted.as_secs(), "it is over: {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What is logged, a line each.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_the_bus_is_a_line_however_many_meet_it() {
        let (kind, lines) = (Kind::new("the bus does not answer"), Lines::default());
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO);
        let log = log.with_writer(move || writer.clone());
        let _logging = tracing::subscriber::set_default(log.finish());
        // Ten consumers, once a second for five minutes.
        for _ in 0..300 {
            for consumer in 0..10 {
                kind.met(&consumer.to_string(), &io::Error::other("away"));
            }
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        (0..10).for_each(|_| kind.passed());
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("failed=3000"), "{text}");
    }
}
