//! Problems over gRPC: nothing of a problem is lost between two services.

use std::time::Duration;

use bookworm_kernel::{ErrorCode, ErrorKind, FieldError};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::Problem;

/// The metadata key that carries the error code.
pub const ERROR_CODE: &str = "bookworm-error-code";

/// What has no place in a gRPC status of its own, as JSON in its details.
#[derive(Default, Serialize, Deserialize)]
struct Details {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// The gRPC status code of each kind of failure: the one place that maps them.
#[must_use]
pub const fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::UnsupportedMediaType | ErrorKind::Unprocessable => {
            Code::InvalidArgument
        }
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Forbidden => Code::PermissionDenied,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::MethodNotAllowed => Code::Unimplemented,
        ErrorKind::PaymentRequired
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::PreconditionRequired => Code::FailedPrecondition,
        ErrorKind::TooManyRequests => Code::ResourceExhausted,
        ErrorKind::Internal => Code::Internal,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::TooSlow | ErrorKind::Timeout => Code::DeadlineExceeded,
    }
}

/// A problem as the answer of a gRPC method.
#[must_use]
pub fn to_status(problem: &Problem) -> Status {
    let code = problem.code();
    let retry_after_seconds = problem.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let details = Details {
        detail: problem.detail_text().map(str::to_owned),
        errors: problem.errors().to_vec(),
        extra: problem.extensions().clone(),
        retry_after_seconds,
    };
    let mut metadata = MetadataMap::new();
    metadata.insert(ERROR_CODE, tonic::metadata::MetadataValue::from_static(code.as_str()));
    let message = problem.detail_text().unwrap_or(code.title());
    let details = Bytes::from(serde_json::to_vec(&details).unwrap_or_default());
    Status::with_details_and_metadata(code_of(code.kind()), message, details, metadata)
}

/// The problem that a gRPC answer stands for.
///
/// A status that did not come from [`to_status`] (the transport's, mostly) becomes `unavailable`, `timeout` or
/// `internal`; its message goes to the log and not to the client.
#[must_use]
pub fn from_status(status: &Status) -> Problem {
    let known = status.metadata().get(ERROR_CODE).and_then(|v| v.to_str().ok()).and_then(ErrorCode::parse);
    let Some(code) = known else {
        let code = match status.code() {
            Code::Unavailable | Code::Cancelled | Code::ResourceExhausted => ErrorCode::Unavailable,
            Code::DeadlineExceeded => ErrorCode::Timeout,
            _ => ErrorCode::Internal,
        };
        tracing::error!(grpc_code = ?status.code(), message = status.message(), "a call failed");
        return Problem::new(code);
    };
    let details: Details = serde_json::from_slice(status.details()).unwrap_or_default();
    let mut problem = Problem::new(code).fields(details.errors);
    if let Some(detail) = details.detail {
        problem = problem.detail(detail);
    }
    if let Some(seconds) = details.retry_after_seconds {
        problem = problem.retry_after(Duration::from_secs(seconds));
    }
    details.extra.into_iter().fold(problem, |problem, (key, value)| problem.with(&key, value))
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        from_status(&status)
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        to_status(&problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_survives_the_wire() {
        for code in ErrorCode::ALL {
            let problem = Problem::new(*code)
                .detail("this \u{2713} case")
                .field(FieldError::new("/quantity", "too many"))
                .with("lines", serde_json::json!([{"book_id": 1}]))
                .retry_after(Duration::from_secs(7));
            let mut headers = http::HeaderMap::new();
            to_status(&problem).add_header(&mut headers).unwrap();
            let back = from_status(&Status::from_header_map(&headers).unwrap());
            assert_eq!(back.body(), problem.body());
            assert_eq!(back.headers(), problem.headers());
        }
    }

    #[test]
    fn a_detail_is_not_invented() {
        let back = from_status(&to_status(&Problem::new(ErrorCode::BasketEmpty)));
        assert_eq!(back.detail_text(), None);
    }

    #[test]
    fn a_foreign_status_shows_nothing_of_itself() {
        for (status, code) in [
            (Status::unavailable("tcp connect error 10.0.0.7"), ErrorCode::Unavailable),
            (Status::deadline_exceeded("10.0.0.7"), ErrorCode::Timeout),
            (Status::unknown("10.0.0.7"), ErrorCode::Internal),
            (Status::unimplemented("10.0.0.7"), ErrorCode::Internal),
        ] {
            let problem = from_status(&status);
            assert_eq!(problem.code(), code);
            assert!(!serde_json::to_string(&problem.body()).unwrap().contains("10.0.0.7"));
        }
    }
}
