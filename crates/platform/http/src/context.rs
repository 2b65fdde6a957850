//! What a request belongs to: its correlation and its trace, known everywhere in the task that answers it.

use std::{borrow::Cow, convert::Infallible, future::Future, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, OriginalUri, Request, State},
    response::Response,
};
use bookworm_kernel::{Cause, CorrelationId, TraceParent};
use bookworm_trace::{KeyValue, Kind, Parent, Span};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};
use tracing::Instrument;
use uuid::Uuid;

use crate::{Next, problem::Untraced};

/// Request and response header: one id for everything that a request sets in motion. A UUID.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static(CORRELATION_ID_LOWER);
pub(crate) const CORRELATION_ID_LOWER: &str = "x-correlation-id";
/// The W3C Trace Context headers.
pub(crate) const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

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
        CURRENT.scope(self, bookworm_trace::scope(self.trace, future))
    }

    /// As the cause of messages and calls.
    #[must_use]
    pub fn cause(self) -> Cause {
        Cause::request(self.correlation_id, self.trace)
    }

    /// Begins to answer a request with these headers: reads `X-Correlation-Id`, `traceparent` and `tracestate`, and makes
    /// new ids where they are missing or not valid. The context lasts as long as the span.
    #[must_use]
    pub fn answering(
        headers: &HeaderMap,
        describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> (Self, Span) {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let correlation_id = text(CORRELATION_ID_LOWER).and_then(|v| v.parse().ok()).unwrap_or_else(CorrelationId::new);
        let parent = text(TRACEPARENT).and_then(TraceParent::parse);
        let parent = parent.map(|trace| Parent { trace, state: text(TRACESTATE) });
        let span = Span::begin(Kind::Server, parent, || {
            let (name, mut attributes) = describe();
            attributes.push(KeyValue::new("bookworm.correlation_id", correlation_id.to_string()));
            (name, attributes)
        });
        (Self { correlation_id, trace: span.place() }, span)
    }

    /// The caller's place in the trace, as these headers say; `None` where they say nothing.
    #[must_use]
    pub fn trace_in(headers: &HeaderMap) -> Option<TraceParent> {
        headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceParent::parse)
    }

    /// Whether a request carries the context of what it belongs to.
    #[must_use]
    pub fn is_in(headers: &HeaderMap) -> bool {
        headers.contains_key(CORRELATION_ID_LOWER)
    }

    /// Writes the headers for a request to another service.
    pub fn write(self, headers: &mut HeaderMap) {
        insert(headers, CORRELATION_ID_LOWER, self.correlation_id.to_string());
        write_trace(self.trace, headers);
    }
}

/// Writes a place in a trace for a request to another service.
pub fn write_trace(trace: TraceParent, headers: &mut HeaderMap) {
    insert(headers, TRACEPARENT, trace.to_string());
    if let Some(state) = bookworm_trace::tracestate(trace) {
        insert(headers, TRACESTATE, state);
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: String) {
    // Ids and what was a header's value before always are one.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(HeaderName::from_static(name), value);
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

/// Middleware around every request: `router.layer(crate::Stack::new().with(context::layer))`.
///
/// Sets the [`RequestContext`], begins the spans, answers with `X-Correlation-Id` and `traceparent`, logs one line and
/// counts the request. Traces, logs and metrics name the route (`/books/{id}`), never the path or the query: those may
/// hold secrets, and there is no end of them. A router's own layers know the route; outside a router it is `unmatched`.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let (context, mut step) = RequestContext::answering(request.headers(), || describe(method, path));
    let route = path.unwrap_or("unmatched").to_owned();
    request.extensions_mut().insert(context);
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
        insert(response.headers_mut(), CORRELATION_ID_LOWER, context.correlation_id.to_string());
        insert(response.headers_mut(), TRACEPARENT, context.trace.to_string());
        let (status, took) = (response.status(), started.elapsed());
        answered(&mut step, &response);
        let status = status.as_u16();
        metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
            .increment(1);
        metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route)
            .record(took.as_secs_f64());
        tracing::info!(status, duration_ms = took.as_secs_f64() * 1000.0, "answered");
        response
    };
    context.scope(answer.instrument(span)).await
}

/// Middleware around an API that this process calls without a connection, as its pages do: such a call is a step of its
/// own. A request that came through [`layer`] has one already.
pub async fn called(mut request: Request, next: Next) -> Response {
    if request.extensions().get::<RequestContext>().is_some() {
        return next.run(request).await;
    }
    let method = method_name(request.method());
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let (context, mut step) = RequestContext::answering(request.headers(), || describe(method, path));
    request.extensions_mut().insert(context);
    let response = context.scope(next.run(request)).await;
    answered(&mut step, &response);
    response
}

/// Middleware around the routes of one role: what it does of a request is a step of its own, beside what stands before it.
pub async fn role(State(role): State<&'static str>, mut request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
    let step = Span::within(Kind::Internal, || {
        let (name, mut attributes) = describe(method, path);
        attributes.push(KeyValue::new("bookworm.role", role));
        let subject = path.and_then(|route| subject(route, uri.path()));
        attributes.extend(subject.map(|id| KeyValue::new(bookworm_trace::SUBJECT, id.to_string())));
        (format!("{role} {name}").into(), attributes)
    });
    let (Some(mut step), Some(context)) = (step, RequestContext::current()) else { return next.run(request).await };
    let context = RequestContext { trace: step.place(), ..context };
    request.extensions_mut().insert(context);
    let response = context.scope(next.run(request)).await;
    answered(&mut step, &response);
    response
}

/// What a path is about: what stands where its route has `{id}`, when that is an id.
fn subject(route: &str, path: &str) -> Option<Uuid> {
    let at = route.split('/').position(|part| part == "{id}")?;
    path.split('/').nth(at)?.parse().ok()
}

fn describe(method: &'static str, route: Option<&str>) -> (Cow<'static, str>, Vec<KeyValue>) {
    let mut attributes = Vec::with_capacity(6);
    attributes.push(KeyValue::new("http.request.method", method));
    attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    (route.map_or(Cow::Borrowed(method), |route| format!("{method} {route}").into()), attributes)
}

fn answered(step: &mut Span, response: &Response) {
    let status = response.status();
    step.set("http.response.status_code", i64::from(status.as_u16()));
    // Of a cache of the shop: `bookworm; hit; ttl=30`, `bookworm; fwd=miss`.
    if let Some(cache) = response.headers().get("cache-status").and_then(|value| value.to_str().ok()) {
        step.set("bookworm.cache_status", cache.to_owned());
    }
    if status.is_server_error() {
        step.fail(status.as_u16().to_string());
    }
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
    use axum::{Router, body::Body, routing::get};
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
            .layer(crate::Stack::new().with(layer))
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
        let answered = TraceParent::parse(headers[TRACEPARENT].to_str().unwrap()).unwrap();
        assert_eq!(answered.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(answered, TraceParent::parse(TRACE).unwrap(), "our place in it, not the caller's");
    }

    #[tokio::test]
    async fn what_the_caller_says_of_its_trace_is_handed_on() {
        let asked = Router::new()
            .route(
                "/",
                get(|| async {
                    let mut headers = HeaderMap::new();
                    RequestContext::current().unwrap().write(&mut headers);
                    let state = |value: &HeaderValue| value.to_str().unwrap().to_owned();
                    headers.get(TRACESTATE).map_or_else(|| "none".to_owned(), state)
                }),
            )
            .layer(crate::Stack::new().with(layer));
        for (state, handed_on) in [("vendor=1,other=x", "vendor=1,other=x"), ("", "none"), ("no list", "none")] {
            let request = Request::get("/").header(TRACEPARENT, TRACE).header(TRACESTATE, state);
            let response = asked.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            assert_eq!(&*body, handed_on.as_bytes(), "{state}");
        }
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
