//! Logs, metrics, the export of traces, and what ties them together.
//!
//! Libraries log from the level `info` up, whatever the filter says: below, they log what passes through
//! them, such as messages and tokens.
//!
//! Log lines go to standard error; standard output belongs to the program. Each line carries the fields of the spans
//! it was written in, among them `correlation_id`, `trace_id` and `span_id`, so that one request is found by any. A line
//! for machines has these at its top, and says which process wrote it.

#![warn(missing_docs)]

mod errors;
mod export;
mod json;

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{MakeWriter, format::JsonFields},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use crate::{
    errors::{LoggedError, errors},
    export::{Export, Traces},
};

/// Upper bounds in seconds of every histogram whose name ends in `_seconds`: from half a millisecond, which a cached
/// answer takes, to the longest time-out.
pub const SECONDS_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of every other histogram, which count things.
pub const COUNT_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// How often histograms are folded, so that they stay small while nobody reads the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object on each line: time, level, message, process, the ids of the request, and the line's own fields.
    Json,
}

/// Which process writes lines: each line for machines says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name among the shop's processes.
    pub instance: String,
    /// The version of the program.
    pub release: String,
}

/// Why logs, metrics or traces cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not a list of levels and `module=level`.
    #[error("`{filter}` is not a log filter such as `info` or `info,bookworm_ordering=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The histograms' buckets or the recorder were refused.
    #[error("the metrics cannot start")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
    /// A header for the collector cannot be one.
    #[error("`{name}` and its value cannot be a header for the collector")]
    Header {
        /// Its name.
        name: String,
    },
    /// The collector's address or settings were refused.
    #[error("spans cannot be exported")]
    Export(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// The running logs and metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    prometheus: PrometheusHandle,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Telemetry {
    /// Every metric in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.prometheus.render()
    }

    /// Keeps histograms small. Runs until it is dropped: spawn it once, beside the server.
    pub async fn upkeep(self) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            self.prometheus.run_upkeep();
        }
    }
}

/// Starts logs and metrics for this process. Calling it again is harmless: the first call's format, filter and name stay.
///
/// # Errors
/// When `filter` cannot be read, or another metrics recorder runs in this process.
pub fn init(format: LogFormat, filter: &str, process: Process) -> Result<Telemetry, TelemetryError> {
    let layer = log_layer(format, filter, process, std::io::stderr)?;
    let prometheus = recorder()?;
    // Refused when logs run already, as in a test process: then they stay as they are.
    let errors = errors::Keep.with_filter(LevelFilter::ERROR);
    let _ = tracing_subscriber::registry().with(layer).with(errors).try_init();
    Ok(Telemetry { prometheus })
}

/// Whether a line may be written at all: our own, or one that a library means for those who run it.
fn is_fit_to_write(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || line.target().starts_with("bookworm")
}

fn recorder() -> Result<PrometheusHandle, TelemetryError> {
    static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = INSTALLED.get() {
        return Ok(handle.clone());
    }
    let handle = builder().and_then(PrometheusBuilder::install_recorder).map_err(TelemetryError::Metrics)?;
    Ok(INSTALLED.get_or_init(|| handle).clone())
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&COUNT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
}

fn log_layer<S, W>(
    format: LogFormat,
    filter: &str,
    process: Process,
    writer: W,
) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let filter = filter.and(filter_fn(is_fit_to_write));
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match format {
        LogFormat::Pretty => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            layer.with_ansi(colours).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            layer.fmt_fields(JsonFields::new()).event_format(json::JsonLines(process)).with_filter(filter).boxed()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn process() -> Process {
        Process { instance: "red".to_owned(), release: "1.2.3".to_owned() }
    }

    fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = log_layer(format, filter, process(), move || writer.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_says_whose_it_is_and_what_it_belongs_to() {
        let text = logged(LogFormat::Json, "info", || {
            let ids = ("c-1", "t-1", "s-1");
            let _request =
                tracing::info_span!("request", path = "/x", correlation_id = ids.0, trace_id = ids.1, span_id = ids.2)
                    .entered();
            let _call = tracing::info_span!("rpc", method = "Reserve", trace_id = ids.1, span_id = "s-2").entered();
            tracing::info!(order = 7, late = false, "reserved");
        });
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{time}");
        let expected = serde_json::json!({
            "level": "INFO", "message": "reserved", "order": 7, "late": false, "target": "bookworm_telemetry::tests",
            "instance": "red", "release": "1.2.3", "correlation_id": "c-1", "trace_id": "t-1", "span_id": "s-2",
            "span": "rpc", "spans": [{"name": "request", "path": "/x"}, {"name": "rpc", "method": "Reserve"}],
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn no_field_replaces_what_every_line_has() {
        let text = logged(LogFormat::Json, "info", || {
            tracing::info!(instance = "blue", level = 3, trace_id = "forged", "another has gone");
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["instance"], &line["field.instance"]), (&"red".into(), &"blue".into()), "{text}");
        assert_eq!((&line["level"], &line["field.level"]), (&"INFO".into(), &3.into()), "{text}");
        assert_eq!((line.get("trace_id"), &line["field.trace_id"]), (None, &"forged".into()), "{text}");
    }

    #[test]
    fn an_error_is_written_with_its_causes_and_a_line_stays_a_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("the mail was not\n\"sent\"")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("no route"));
        let text = logged(LogFormat::Json, "info", || {
            tracing::warn!(error = &error as &dyn std::error::Error, "trouble");
        });
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["error"], "the mail was not\n\"sent\": no route");
    }

    #[test]
    fn a_line_for_people_has_the_ids_too() {
        let text = logged(LogFormat::Pretty, "info", || {
            let _request = tracing::info_span!("request", correlation_id = "c-1", span_id = "s-1").entered();
            tracing::info!("reserved");
        });
        assert!(text.contains("c-1") && text.contains("s-1") && text.contains("reserved"), "{text}");
    }

    #[test]
    fn the_filter_decides_by_module() {
        let text = logged(LogFormat::Pretty, "warn,bookworm_shop=debug", || {
            tracing::info!(target: "other", "hidden");
            tracing::debug!(target: "bookworm_shop", "shown");
        });
        assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
        let error = init(LogFormat::Pretty, "info,=,", process()).unwrap_err();
        assert!(error.to_string().contains("info,=,"), "{error}");
    }

    #[test]
    fn libraries_write_nothing_that_passes_through_them() {
        for filter in ["trace", "debug", "tungstenite=trace", "info,hyper=debug,bookworm_http=trace"] {
            let text = logged(LogFormat::Json, filter, || {
                tracing::trace!(target: "tungstenite::protocol", "a message");
                tracing::debug!(target: "hyper::proto", "a message");
                tracing::trace!(target: "bookworm_http::serve", "ours");
            });
            assert!(!text.contains("a message"), "{filter}: {text}");
        }
        let text = logged(LogFormat::Pretty, "trace", || {
            tracing::trace!(target: "bookworm_http::serve", "ours");
            tracing::info!(target: "tantivy", "theirs");
        });
        assert!(text.contains("ours") && text.contains("theirs"), "{text}");
    }

    #[test]
    fn metrics_have_buckets_and_starting_twice_is_harmless() {
        let first = init(LogFormat::Pretty, "off", process()).unwrap();
        let second = init(LogFormat::Json, "off", process()).unwrap();
        metrics::histogram!("checkout_seconds").record(0.2);
        metrics::counter!("orders_total").increment(1);
        for telemetry in [first, second] {
            let text = telemetry.render();
            assert!(text.contains("orders_total 1"), "{text}");
            assert!(text.contains("checkout_seconds_bucket{le=\"0.25\"} 1"), "{text}");
            assert!(text.contains("checkout_seconds_bucket{le=\"0.1\"} 0"), "{text}");
        }
    }
}
