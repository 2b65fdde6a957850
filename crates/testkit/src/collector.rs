use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A span as it came to a [`Collector`]. Ids are hexadecimal.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Its trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent's id; `None` for a root.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// What kind of step it is.
    pub kind: SpanKind,
    /// The ids of the spans that it is linked to.
    pub links: Vec<String>,
    /// Attributes that are words or numbers, as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is an error.
    pub failed: bool,
    /// The `service.instance.id` of the process that made it.
    pub instance: String,
}

/// An OpenTelemetry collector: takes spans by OTLP over gRPC, and shows them.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Exported>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    /// One at a port of its own.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let spans: Arc<Mutex<Vec<Exported>>> = Arc::default();
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = incoming.local_addr().expect("it listens");
        let service = TraceServiceServer::new(Taking(spans.clone()));
        let serving = tokio::spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("it serves");
        });
        Self { address, spans, serving }
    }

    /// Where spans are sent, as the setting `telemetry.otlp_endpoint` has it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has come so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Exported> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Taking(Arc<Mutex<Vec<Exported>>>);

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_process in request.into_inner().resource_spans {
            let resource = words(of_process.resource.map(|resource| resource.attributes).unwrap_or_default());
            let instance = resource.get("service.instance.id").cloned().unwrap_or_default();
            let came = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(came.map(|span| read(span, &instance)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(span: Span, instance: &str) -> Exported {
    Exported {
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
        name: span.name,
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        attributes: words(span.attributes),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        instance: instance.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let word = |value| match value {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        _ => None,
    };
    let pair = |KeyValue { key, value, .. }: KeyValue| Some((key, word(value?.value?)?));
    attributes.into_iter().filter_map(pair).collect()
}
