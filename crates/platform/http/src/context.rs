//! What a request belongs to: its correlation and its trace, known everywhere in the task that answers it.

use std::{convert::Infallible, future::Future, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use bookworm_kernel::{Cause, CorrelationId, TraceParent};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use tracing::Instrument;

use crate::problem::Untraced;

/// Request and response header: one id for everything that a request sets in motion. A UUID.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static(CORRELATION_ID_LOWER);
pub(crate) const CORRELATION_ID_LOWER: &str = "x-correlation-id";
/// The W3C Trace Context header.
pub(crate) const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What the request being answered belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestContext {
    /// The same for everything that the request sets in motion.
    pub correlation_id: CorrelationId,
    /// Our place in the trace.
    pub trace: TraceParent,
}

impl RequestContext {
    /// The context of the task that this runs in; `None` outside a request, and in tasks that a request spawned.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|context| *context).ok()
    }

    /// Runs a future so that [`RequestContext::current`] returns this context in it.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// As the cause of messages and calls.
    #[must_use]
    pub fn cause(self) -> Cause {
        Cause::request(self.correlation_id, self.trace)
    }

    /// Reads `X-Correlation-Id` and `traceparent`; makes new ones where they are missing or not valid.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        Self {
            correlation_id: text(CORRELATION_ID_LOWER).and_then(|v| v.parse().ok()).unwrap_or_else(CorrelationId::new),
            trace: text(TRACEPARENT).and_then(TraceParent::parse).map_or_else(TraceParent::start, TraceParent::child),
        }
    }

    /// Whether a request carries the context of what it belongs to.
    #[must_use]
    pub fn is_in(headers: &HeaderMap) -> bool {
        headers.contains_key(CORRELATION_ID_LOWER)
    }

    /// Writes both headers, for a request to another service.
    pub fn write(self, headers: &mut HeaderMap) {
        for (name, value) in
            [(CORRELATION_ID_LOWER, self.correlation_id.to_string()), (TRACEPARENT, self.trace.to_string())]
        {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Extracts why the request happens, to hand on to messages and calls. Never fails: outside [`layer`] it is a cause
/// of its own.
#[derive(Debug, Clone, Copy)]
pub struct Origin(pub Cause);

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let context = parts.extensions.get::<RequestContext>().copied().or_else(RequestContext::current);
        Ok(Self(context.map_or_else(Cause::start, RequestContext::cause)))
    }
}

/// Middleware around every request: `router.layer(axum::middleware::from_fn(context::layer))`.
///
/// Sets the [`RequestContext`], opens the span `request`, answers with `X-Correlation-Id`, logs one line and counts
/// the request. Logs and metrics name the route (`/books/{id}`), never the path or the query: those may hold secrets,
/// and there is no end of them. A router's own layers know the route; outside a router it is `unmatched`.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let context = RequestContext::from_headers(request.headers());
    request.extensions_mut().insert(context);
    let method = method_name(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        method,
        path = %route,
        correlation_id = %context.correlation_id,
        trace_id = context.trace.trace_id(),
        span_id = context.trace.span_id(),
    );
    let answer = async move {
        let started = Instant::now();
        let mut response = next.run(request).await;
        if let Some(Untraced(problem)) = response.extensions_mut().remove::<Untraced>() {
            let mut traced = problem.respond(Some(context.trace.trace_id()));
            for (name, value) in response.headers() {
                if !traced.headers().contains_key(name) && name != http::header::CONTENT_LENGTH {
                    traced.headers_mut().append(name.clone(), value.clone());
                }
            }
            response = traced;
        }
        if let Ok(value) = HeaderValue::try_from(context.correlation_id.to_string()) {
            response.headers_mut().insert(CORRELATION_ID, value);
        }
        let (status, took) = (response.status().as_u16(), started.elapsed());
        metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
            .increment(1);
        metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route)
            .record(took.as_secs_f64());
        tracing::info!(status, duration_ms = took.as_secs_f64() * 1000.0, "answered");
        response
    };
    context.scope(answer.instrument(span)).await
}

/// The method for logs and metrics. Clients may make up methods; metrics must not grow with them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use bookworm_kernel::ErrorCode;
    use tower::ServiceExt;

    use super::*;
    use crate::Problem;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn app() -> Router {
        Router::new()
            .route("/cause", get(|Origin(cause): Origin| async move { format!("{} {}", cause.correlation_id, cause.trace.trace_id()) }))
            .route("/problem", get(|| async { Problem::new(ErrorCode::BasketEmpty) }))
            .route(
                "/spawned",
                get(|| async {
                    tokio::spawn(async { axum::response::IntoResponse::into_response(Problem::not_found("book")) }).await.unwrap()
                }),
            )
            .layer(middleware::from_fn(layer))
    }

    async fn ask(path: &str, headers: &[(&str, &str)]) -> (HeaderMap, String) {
        let request =
            headers.iter().fold(Request::get(path), |r, (k, v)| r.header(*k, *v)).body(Body::empty()).unwrap();
        let response = app().oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn correlation_and_trace_of_the_caller_are_kept() {
        let id = "0190b0a0-0000-7000-8000-000000000001";
        let (headers, body) = ask("/cause", &[("x-correlation-id", id), ("traceparent", TRACE)]).await;
        assert_eq!(headers[CORRELATION_ID], id);
        assert_eq!(body, format!("{id} 4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[tokio::test]
    async fn what_is_not_valid_is_replaced() {
        let (headers, body) = ask("/cause", &[("x-correlation-id", "'; DROP TABLE"), ("traceparent", "00-00")]).await;
        let id = headers[CORRELATION_ID].to_str().unwrap();
        assert!(id.parse::<CorrelationId>().is_ok());
        assert!(body.starts_with(id));
    }

    #[tokio::test]
    async fn problems_name_the_trace_wherever_they_were_made() {
        for path in ["/problem", "/spawned"] {
            let (headers, body) = ask(path, &[("traceparent", TRACE)]).await;
            assert!(body.contains("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\""), "{path}: {body}");
            assert_eq!(headers[http::header::CONTENT_TYPE], "application/problem+json");
            if let Some(length) = headers.get(http::header::CONTENT_LENGTH) {
                assert_eq!(length.to_str().unwrap(), body.len().to_string());
            }
        }
    }
}
