use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bookworm_kernel::ErrorCode;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use crate::{Problem, Result};

/// The entity tag of a version, e.g. `"3"`.
#[must_use]
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits between quotes are a valid header value")
}

/// Whether the caller already has this version (`If-None-Match`, RFC 9110, 13.1.2): then answer [`not_modified`].
#[must_use]
pub fn if_none_match(headers: &HeaderMap, version: i64) -> bool {
    let wanted = etag(version);
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|tag| tag == "*" || wanted == tag.strip_prefix("W/").unwrap_or(tag))
    })
}

/// 304 for a caller that has this version.
#[must_use]
pub fn not_modified(version: i64) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, etag(version))]).into_response()
}

/// The version that the caller edits (`If-Match`, RFC 9110, 13.1.1). Missing: 428 `precondition_required`. Not an
/// entity tag: 400 `malformed_request`. A tag that this shop never gives: 412 `edit_conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whichever version there is.
    Any,
    /// This version only.
    Version(i64),
}

impl IfMatch {
    /// Whether the caller may edit what is now at `current`.
    ///
    /// # Errors
    /// 412 `edit_conflict` when it was changed since the caller read it.
    pub fn check(self, current: i64) -> Result<()> {
        match self {
            Self::Version(version) if version != current => Err(edit_conflict()),
            _ => Ok(()),
        }
    }

    /// The version, when the caller named one.
    #[must_use]
    pub fn version(self) -> Option<i64> {
        match self {
            Self::Any => None,
            Self::Version(version) => Some(version),
        }
    }
}

fn edit_conflict() -> Problem {
    Problem::new(ErrorCode::EditConflict).detail("Read it again and repeat your change.")
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Err(Problem::new(ErrorCode::PreconditionRequired)
                .detail("Send If-Match with the ETag of the version that you edit, or * for any version."));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let tag = text.strip_prefix("W/").unwrap_or(text);
        let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).filter(|tag| !tag.contains('"'));
        match inner {
            None => Err(Problem::new(ErrorCode::MalformedRequest)
                .detail("If-Match must be one entity tag in double quotes, such as \"3\", or *.")),
            Some(version) => version.parse().map(Self::Version).map_err(|_| edit_conflict()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(value: Option<&str>) -> Result<IfMatch, ErrorCode> {
        let mut request = http::Request::builder();
        if let Some(value) = value {
            request = request.header(header::IF_MATCH, value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        IfMatch::from_request_parts(&mut parts, &()).await.map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn reads_if_match() {
        for (value, expected) in [
            (None, Err(ErrorCode::PreconditionRequired)),
            (Some("\"3\""), Ok(IfMatch::Version(3))),
            (Some("W/\"3\""), Ok(IfMatch::Version(3))),
            (Some("*"), Ok(IfMatch::Any)),
            (Some("3"), Err(ErrorCode::MalformedRequest)),
            (Some("\"3"), Err(ErrorCode::MalformedRequest)),
            (Some("\"1\", \"2\""), Err(ErrorCode::MalformedRequest)),
            (Some("\"abc\""), Err(ErrorCode::EditConflict)),
            (Some("\"99999999999999999999\""), Err(ErrorCode::EditConflict)),
        ] {
            assert_eq!(parse(value).await, expected, "{value:?}");
        }
    }

    #[test]
    fn only_the_version_that_was_read_may_be_edited() {
        assert!(IfMatch::Version(3).check(3).is_ok());
        assert!(IfMatch::Any.check(3).is_ok());
        assert_eq!(IfMatch::Version(2).check(3).unwrap_err().code(), ErrorCode::EditConflict);
    }

    #[test]
    fn knows_what_the_caller_has() {
        for (value, has) in
            [("\"3\"", true), ("W/\"3\"", true), ("\"1\", \"3\"", true), ("*", true), ("\"4\"", false), ("3", false)]
        {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            assert_eq!(if_none_match(&headers, 3), has, "{value}");
        }
        assert!(!if_none_match(&HeaderMap::new(), 3));
    }
}
