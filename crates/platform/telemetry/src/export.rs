//! Spans on their way to a collector, by OTLP over gRPC.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookworm_trace::{KeyValue, next_trace_id};
use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider, Span,
        SpanData, SpanExporter, SpanProcessor,
    },
};
use tonic::{
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
    transport::ClientTlsConfig,
};

use crate::{Process, TelemetryError};

/// How many spans wait for the collector at most, some 10 MB; what comes then is dropped, and nobody waits.
const QUEUE: usize = 8192;
/// How many are sent together, and after which pause at the latest.
const BATCH: usize = 512;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the collector may take to accept a batch, repeats included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A batch that a relay sends is linked to each of its messages.
const LINKS: u32 = 256;

/// Where spans go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The collector: `http://HOST:PORT`, or `https://` with a certificate that Mozilla's list of authorities vouches for.
    pub endpoint: String,
    /// Headers of each request to it, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Which share of the traces that begin here is exported: 0 to 1. Whoever continues a trace does as its caller did.
    pub ratio: f64,
    /// The roles of this process.
    pub roles: Vec<String>,
}

/// The export of this process's spans.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Exports what is begun from now on. Needs a Tokio runtime, and to be called once in a process. The collector need not
    /// be there: it is connected when there is something to send.
    ///
    /// # Errors
    /// When the endpoint or a header has no such form.
    pub fn start(export: Export, process: &Process) -> Result<Self, TelemetryError> {
        let exporter = exporter(&export)?;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PAUSE)
            .build();
        let waiting = Arc::new(AtomicUsize::new(0));
        let watched = Watched { exporter, fails: AtomicBool::new(false), waiting: waiting.clone() };
        let batches = BatchSpanProcessor::builder(watched).with_batch_config(config).build();
        let processor = Bounded { batches, waiting };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(export.ratio))))
            .with_id_generator(Ids::default())
            .with_max_links_per_span(LINKS)
            .with_resource(resource(export.roles, process))
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        bookworm_trace::enable();
        Ok(Self(provider))
    }

    /// Sends what waits, and ends. What was not accepted within this time is lost.
    pub async fn finish(self, within: Duration) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(within)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

fn exporter(export: &Export) -> Result<opentelemetry_otlp::SpanExporter, TelemetryError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in &export.headers {
        let key: Result<MetadataKey<Ascii>, _> = name.parse();
        let (Ok(key), Ok(mut value)) = (key, value.parse::<MetadataValue<Ascii>>()) else {
            return Err(TelemetryError::Header { name: name.clone() });
        };
        value.set_sensitive(true);
        metadata.insert(key, value);
    }
    let builder = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&export.endpoint)
        .with_timeout(TIMEOUT)
        .with_metadata(metadata);
    let builder = match export.endpoint.starts_with("https://") {
        true => builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots()),
        false => builder,
    };
    builder.build().map_err(TelemetryError::Export)
}

/// What all spans of this process have in common (semantic conventions for resources).
fn resource(roles: Vec<String>, process: &Process) -> Resource {
    let roles: Vec<opentelemetry::StringValue> = roles.into_iter().map(Into::into).collect();
    Resource::builder_empty()
        .with_service_name("bookworm")
        .with_attributes([
            KeyValue::new("service.instance.id", process.instance.clone()),
            KeyValue::new("service.version", process.release.clone()),
            KeyValue::new("bookworm.roles", opentelemetry::Value::Array(roles.into())),
        ])
        .build()
}

/// Random ids, but for a trace that has one already.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        next_trace_id().map_or_else(|| self.0.new_trace_id(), TraceId::from)
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Lets in what the queue has room for, and counts what it drops; the queue itself drops in silence.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    /// How many spans are in the queue.
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // As the queue does: what is not sampled does not wait in it.
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!("trace_spans_dropped_total", "to" => "collector").increment(1);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what becomes of spans, and says once that the collector does not take them, and once that it does again.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    fails: AtomicBool,
    waiting: Arc<AtomicUsize>,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        let outcome = if sent.is_ok() { "sent" } else { "failed" };
        metrics::counter!("trace_spans_exported_total", "outcome" => outcome).increment(count);
        match (&sent, self.fails.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "the collector does not take spans: they are lost until it does");
            }
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
