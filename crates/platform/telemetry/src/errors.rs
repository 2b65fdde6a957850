//! The latest lines at the level `error`, in memory within a bound.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// How many different lines are kept.
const KEPT: usize = 50;
/// How much of a line, in bytes.
const LENGTH: usize = 1_000;

static ERRORS: Mutex<VecDeque<LoggedError>> = Mutex::new(VecDeque::new());

/// A line at the level `error`, and how often it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedError {
    /// When it was written last, in microseconds since 1970.
    pub at: i64,
    /// The module.
    pub target: String,
    /// What was said, with the line's fields behind it.
    pub message: String,
    /// How often the same module has said the same, whatever the fields, since the line came to be kept.
    pub count: u64,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    said: String,
}

/// The latest errors of this process, latest first; the same one counts once.
#[must_use]
pub fn errors() -> Vec<LoggedError> {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

/// Keeps them.
pub(crate) struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        #[expect(clippy::disallowed_methods, reason = "a line says when it was written, as the log does")]
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut message = format!("{}{}", line.message, line.fields);
        if message.len() > LENGTH {
            message.truncate(message.floor_char_boundary(LENGTH));
            message.push('…');
        }
        let error = LoggedError {
            at: i64::try_from(at.as_micros()).unwrap_or(i64::MAX),
            target: event.metadata().target().to_owned(),
            message,
            count: 1,
            trace_id: bookworm_trace::current().map(|place| place.trace_id()),
            said: line.message,
        };
        keep(&mut ERRORS.lock().unwrap_or_else(PoisonError::into_inner), error);
    }
}

/// One that was there already comes to the front.
fn keep(errors: &mut VecDeque<LoggedError>, mut error: LoggedError) {
    let same = |other: &LoggedError| other.target == error.target && other.said == error.said;
    if let Some(before) = errors.iter().position(same).and_then(|at| errors.remove(at)) {
        error.count += before.count;
    }
    errors.push_front(error);
    errors.truncate(KEPT);
}

/// The message of a line, and its fields as ` name=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            "message" => self.message.write_fmt(value),
            name => self.fields.write_fmt(format_args!(" {}={value}", name.trim_start_matches("r#"))),
        };
        // Writing to a string does not fail.
        let _ = written;
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(source) = cause {
            text.push_str(&format!(": {source}"));
            cause = source.source();
        }
        self.put(field, format_args!("{text}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

    use super::*;

    #[test]
    fn errors_are_kept_once_each_and_within_a_bound() {
        let layer = Keep.with_filter(LevelFilter::ERROR);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!("no error");
            let cause = std::io::Error::other("no route");
            for loop_name in ["one", "two"] {
                tracing::error!(name = loop_name, error = &cause as &dyn std::error::Error, "a loop ended");
            }
            tracing::error!("{}", "x".repeat(5_000));
        });
        let kept = errors();
        let shown: Vec<_> = kept.iter().map(|error| (error.message.len(), error.count)).collect();
        assert_eq!(shown, [(LENGTH + '…'.len_utf8(), 1), ("a loop ended name=two error=no route".len(), 2)]);
        assert_eq!(kept[1].message, "a loop ended name=two error=no route");
        let mut all = VecDeque::new();
        for at in 0..1_000 {
            keep(&mut all, LoggedError { at, said: format!("{at}"), ..kept[1].clone() });
        }
        assert_eq!((all.len(), all[0].at), (KEPT, 999));
    }
}
