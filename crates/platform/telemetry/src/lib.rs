//! Logs, metrics and the correlation of both.
//!
//! Libraries log from the level `info` up, whatever the filter says: below, they log what passes through
//! them, such as messages and tokens.
//!
//! Log lines go to standard error; standard output belongs to the program. Each line carries the fields of the spans
//! it was written in, among them `correlation_id` and `trace_id`, so that one request is found by either.

#![warn(missing_docs)]

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
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
    /// One JSON object on each line, the spans' fields beside the line's own.
    Json,
}

/// Why logs or metrics cannot start.
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

/// Starts logs and metrics for this process. Calling it again is harmless: the first call's format and filter stay.
///
/// # Errors
/// When `filter` cannot be read, or another metrics recorder runs in this process.
pub fn init(format: LogFormat, filter: &str) -> Result<Telemetry, TelemetryError> {
    let layer = log_layer(format, filter, std::io::stderr)?;
    let prometheus = recorder()?;
    // Refused when logs run already, as in a test process: then they stay as they are.
    let _ = tracing_subscriber::registry().with(layer).try_init();
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
            layer.json().flatten_event(true).with_current_span(false).with_span_list(true).with_filter(filter).boxed()
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

    fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = log_layer(format, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_carries_the_fields_of_its_request() {
        let text = logged(LogFormat::Json, "info", || {
            let _request = tracing::info_span!("request", correlation_id = "c-1", trace_id = "t-1").entered();
            let _step = tracing::info_span!("reserve", lines = 2).entered();
            tracing::info!(order = 7, "reserved");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "reserved");
        assert_eq!(line["order"], 7);
        assert!(text.contains("c-1") && text.contains("t-1"), "{text}");
    }

    #[test]
    fn the_filter_decides_by_module() {
        let text = logged(LogFormat::Pretty, "warn,bookworm_shop=debug", || {
            tracing::info!(target: "other", "hidden");
            tracing::debug!(target: "bookworm_shop", "shown");
        });
        assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
        let error = init(LogFormat::Pretty, "info,=,").unwrap_err();
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
        let first = init(LogFormat::Pretty, "off").unwrap();
        let second = init(LogFormat::Json, "off").unwrap();
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
