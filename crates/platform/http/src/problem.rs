use std::{error::Error, fmt, time::Duration};

use axum::response::{IntoResponse, Response};
use bookworm_db::DbError;
use bookworm_kernel::{ErrorCode, ErrorKind, FieldError};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::RequestContext;

/// The media type of every error answer (RFC 9457).
pub const MEDIA_TYPE: &str = "application/problem+json";

const STANDARD_MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "code", "trace_id", "errors"];

/// When to try again, where nobody knows better.
const RETRY_AFTER_SECONDS: u32 = 5;

/// An answer that says what went wrong: problem details of RFC 9457. Cheap to move.
///
/// It is shown to strangers: put nothing into it that they may not know.
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: ErrorCode,
    detail: Option<String>,
    errors: Vec<FieldError>,
    extra: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem with the code's own title and status, and no detail.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        let inner = Inner { code, detail: None, errors: Vec::new(), extra: Map::new(), headers: HeaderMap::new() };
        Self(Box::new(inner))
    }

    /// Nothing of this kind under this address, e.g. `not_found("book")`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound).detail(format!("There is no such {what}."))
    }

    /// Fields that are not valid.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::new(ErrorCode::ValidationFailed).fields(errors)
    }

    /// A fault of ours. The error and what caused it go to the log together with the trace id; the answer shows
    /// nothing of them.
    #[must_use]
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        log(ErrorCode::Internal, error);
        Self::new(ErrorCode::Internal)
    }

    /// What is wrong in this very case, as a sentence for the person who asked.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a field that is not valid.
    #[must_use]
    pub fn field(mut self, error: FieldError) -> Self {
        self.0.errors.push(error);
        self
    }

    /// Adds fields that are not valid.
    #[must_use]
    pub fn fields(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.0.errors.extend(errors);
        self
    }

    /// Adds an extension member (RFC 9457, 3.2), such as `lines` or `action_url`. The standard members cannot be
    /// replaced this way.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if !STANDARD_MEMBERS.contains(&key) {
            self.0.extra.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Sets a header of the answer. A value that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// When to try again, as `Retry-After` in whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(
            header::RETRY_AFTER,
            HeaderValue::from(wait.as_millis().div_ceil(1000).clamp(1, u64::MAX.into()) as u64),
        )
    }

    /// The code that clients switch on.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        status_of(self.0.code.kind())
    }

    /// The sentence given to [`Problem::detail`].
    #[must_use]
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The fields that are not valid.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The extension members.
    #[must_use]
    pub fn extensions(&self) -> &Map<String, Value> {
        &self.0.extra
    }

    /// The headers that the answer gets beside its content type.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body as it is sent, within the request that is being answered.
    #[must_use]
    pub fn body(&self) -> ProblemBody {
        self.body_for(RequestContext::current().map(|context| context.trace.trace_id()))
    }

    fn body_for(&self, trace_id: Option<String>) -> ProblemBody {
        let code = self.0.code;
        ProblemBody {
            kind: format!("/errors/{code}"),
            title: code.title().to_owned(),
            status: self.status().as_u16(),
            detail: self.0.detail.clone(),
            code: code.as_str().to_owned(),
            trace_id,
            errors: self.0.errors.clone(),
            extra: self.0.extra.clone(),
        }
    }

    /// The answer, naming this trace.
    pub(crate) fn respond(self, trace_id: Option<String>) -> Response {
        let body = serde_json::to_vec(&self.body_for(trace_id)).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        response.headers_mut().extend(self.0.headers);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // What the standard asks of each such answer (RFC 9110, 11.6.1), whoever made it.
        if let Some((name, value)) = match response.status() {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS)))
            }
            _ => None,
        } {
            response.headers_mut().entry(name).or_insert(value);
        }
        response
    }
}

/// The trace id is missing in the answer: [`crate::context::layer`] knows it and writes the answer again.
#[derive(Clone)]
pub(crate) struct Untraced(pub Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match RequestContext::current() {
            Some(context) => self.respond(Some(context.trace.trace_id())),
            None => {
                let again = Untraced(self.clone());
                let mut response = self.respond(None);
                response.extensions_mut().insert(again);
                response
            }
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Problem");
        debug.field("code", &self.0.code);
        if let Some(detail) = &self.0.detail {
            debug.field("detail", detail);
        }
        if !self.0.errors.is_empty() {
            debug.field("errors", &self.0.errors);
        }
        if !self.0.extra.is_empty() {
            debug.field("extensions", &self.0.extra.keys().collect::<Vec<_>>());
        }
        debug.finish()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.title())?;
        self.0.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl Error for Problem {}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match &error {
            DbError::Unavailable { database, .. } => {
                log(ErrorCode::Unavailable, &error);
                let part = database.as_deref().unwrap_or("database");
                Self::new(ErrorCode::Unavailable)
                    .detail(
                        "The shop cannot store anything here right now. Nothing was changed; please try again soon.",
                    )
                    .with("part", part)
                    .retry_after(Duration::from_secs(5))
            }
            DbError::Unknown(_) => {
                log(ErrorCode::Unavailable, &error);
                Self::new(ErrorCode::Unavailable)
                    .detail(
                        "The shop did not hear whether this was stored. Please look before you send it again; with the same \
                         Idempotency-Key it can be sent again at once.",
                    )
                    .retry_after(Duration::from_secs(5))
            }
            _ if error.is_transient() => {
                log(ErrorCode::Unavailable, &error);
                Self::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(1))
            }
            _ => Self::internal(&error),
        }
    }
}

fn log(code: ErrorCode, error: &(dyn Error + 'static)) {
    tracing::error!(%code, error, "request failed");
}

/// The status of each kind of failure: the one place that maps them.
#[must_use]
pub const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooSlow => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Problem details (RFC 9457): the body of every answer with a status of 400 or above.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// Where this code is explained.
    #[serde(rename = "type")]
    #[schema(example = "/errors/insufficient_stock")]
    pub kind: String,
    /// The same short sentence for every occurrence of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this case.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// Stable, in `snake_case`: what programs switch on.
    #[schema(example = "insufficient_stock")]
    pub code: String,
    /// Name this when you ask the shop about the failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
    /// Every field that is not valid.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
    /// More members, which depend on the code, e.g. `lines` or `action_url`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_of_a_validation_problem() {
        let problem = Problem::validation(vec![FieldError::new("/quantity", "must be between 1 and 99, not 0")]);
        insta::assert_json_snapshot!(problem.body(), @r#"
        {
          "type": "/errors/validation_failed",
          "title": "Some fields are invalid",
          "status": 400,
          "code": "validation_failed",
          "errors": [
            {
              "field": "/quantity",
              "message": "must be between 1 and 99, not 0"
            }
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn body_within_a_request_names_the_trace_and_keeps_the_extensions() {
        let trace =
            bookworm_kernel::TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let context = RequestContext { correlation_id: bookworm_kernel::CorrelationId::new(), trace };
        let problem = Problem::new(ErrorCode::PaymentActionRequired)
            .detail("Confirm the payment with your bank.")
            .with("action_url", "/pay/1");
        let response = context.scope(async { problem.into_response() }).await;
        assert_eq!(response.status(), StatusCode::PAYMENT_REQUIRED);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        insta::assert_json_snapshot!(body, @r#"
        {
          "action_url": "/pay/1",
          "code": "payment_action_required",
          "detail": "Confirm the payment with your bank.",
          "status": 402,
          "title": "The payment must be confirmed with the bank",
          "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
          "type": "/errors/payment_action_required"
        }
        "#);
    }

    #[test]
    fn an_internal_problem_shows_nothing_of_the_error() {
        let error = std::io::Error::other("password=hunter2");
        let problem = Problem::internal(&error);
        let body = serde_json::to_string(&problem.body()).unwrap();
        assert!(!body.contains("hunter2"), "{body}");
        assert!(!format!("{problem:?} {problem}").contains("hunter2"));
    }

    #[test]
    fn a_busy_database_is_unavailable_and_a_broken_one_internal() {
        let busy = Problem::from(DbError::Busy);
        assert_eq!((busy.code(), busy.headers()[header::RETRY_AFTER].to_str().unwrap()), (ErrorCode::Unavailable, "1"));
        assert_eq!(Problem::from(DbError::Corrupt("x".into())).code(), ErrorCode::Internal);
        let full = DbError::Unavailable {
            database: Some("basket".into()),
            why: bookworm_db::Outage::DiskFull,
            source: std::sync::Arc::new(std::io::Error::other("database or disk is full")),
        };
        let full = Problem::from(full);
        assert_eq!((full.code(), full.extensions()["part"].as_str()), (ErrorCode::Unavailable, Some("basket")));
        assert_eq!(full.headers()["retry-after"], "5");
    }

    #[test]
    fn a_commit_that_nobody_heard_of_is_not_told_as_undone() {
        let unknown = Problem::from(DbError::Unknown(std::sync::Arc::new(DbError::Busy)));
        let (code, detail) = (unknown.code(), unknown.body().detail.unwrap_or_default());
        assert_eq!(code, ErrorCode::Unavailable);
        assert!(detail.contains("did not hear whether") && !detail.contains("Nothing was changed"), "{detail}");
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (wait, header) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let problem = Problem::new(ErrorCode::TooManyRequests).retry_after(Duration::from_millis(wait));
            assert_eq!(problem.headers()[header::RETRY_AFTER].to_str().unwrap(), header, "{wait} ms");
        }
    }

    #[test]
    fn extensions_never_replace_standard_members() {
        let body = Problem::new(ErrorCode::NotFound).with("status", 200).with("code", "fine").body();
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text.matches("\"status\"").count(), 1, "{text}");
        assert_eq!(text.matches("\"code\"").count(), 1, "{text}");
    }

    #[test]
    fn every_code_has_an_error_status() {
        for code in ErrorCode::ALL {
            let status = Problem::new(*code).status();
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
        }
    }
}
