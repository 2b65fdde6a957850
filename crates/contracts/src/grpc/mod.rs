//! gRPC clients and servers, generated from `proto/`, and how each method may be called.

pub mod methods;
pub mod vectors;

pub use bookworm_rpc::Edge;

/// A call that carries the correlation and the trace of what it belongs to.
pub fn request<T>(cause: &bookworm_kernel::Cause, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let metadata = request.metadata_mut();
    // Ids and traceparents are plain ASCII, so these conversions cannot fail.
    if let Ok(value) = cause.correlation_id.to_string().parse() {
        metadata.insert("x-correlation-id", value);
    }
    if let Ok(value) = cause.trace.to_string().parse() {
        metadata.insert("traceparent", value);
    }
    request.extensions_mut().insert(cause.trace);
    request
}

/// The catalogue's queries.
#[allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]
pub mod catalog {
    tonic::include_proto!("bookworm.catalog.v1");
}
/// Sentence embeddings.
#[allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]
pub mod ai {
    tonic::include_proto!("bookworm.ai.v1");
}
/// Whether a mail may be sent.
#[allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]
pub mod notification {
    tonic::include_proto!("bookworm.notification.v1");
}
/// Ordering's queries.
#[allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]
pub mod ordering {
    tonic::include_proto!("bookworm.ordering.v1");
}
/// The basket's queries.
#[allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]
pub mod basket {
    tonic::include_proto!("bookworm.basket.v1");
}
