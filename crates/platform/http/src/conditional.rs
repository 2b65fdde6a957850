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

/// The versions that the caller edits (`If-Match`, RFC 9110, 13.1.1). Missing: 428 `precondition_required`. Not a list
/// of entity tags: 400 `malformed_request`. Tags that this shop never gives, weak ones too, match nothing: 412
/// `edit_conflict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whichever version there is.
    Any,
    /// One of these versions.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Whether the caller may edit what is now at `current`.
    ///
    /// # Errors
    /// 412 `edit_conflict` when it was changed since the caller read it.
    pub fn check(&self, current: i64) -> Result<()> {
        match self {
            Self::Versions(versions) if !versions.contains(&current) => Err(edit_conflict()),
            _ => Ok(()),
        }
    }
}

fn edit_conflict() -> Problem {
    Problem::new(ErrorCode::EditConflict).detail("Read it again and repeat your change.")
}

/// The entity tags of a list (RFC 9110, 5.6.1 and 8.8.3), each with whether it is weak. `None`: it is no such list.
fn entity_tags(text: &str) -> Option<Vec<(bool, &str)>> {
    let mut tags = Vec::new();
    let mut rest = text.trim_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (weak, opened) = match rest.strip_prefix("W/") {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        let (tag, after) = opened.strip_prefix('"')?.split_once('"')?;
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        tags.push((weak, tag));
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    (!tags.is_empty()).then_some(tags)
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        if !parts.headers.contains_key(header::IF_MATCH) {
            return Err(Problem::new(ErrorCode::PreconditionRequired)
                .detail("Send If-Match with the ETag of the version that you edit, or * for any version."));
        }
        let lines = parts.headers.get_all(header::IF_MATCH).iter().map(|line| line.to_str().unwrap_or("?"));
        let text = lines.collect::<Vec<_>>().join(",");
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let tags = entity_tags(&text).ok_or_else(|| {
            Problem::new(ErrorCode::MalformedRequest)
                .detail("If-Match must be entity tags in double quotes, such as \"3\" or \"3\", \"4\", or *.")
        })?;
        // The comparison is the strong one: a weak tag matches nothing.
        let versions: Vec<i64> =
            tags.into_iter().filter(|(weak, _)| !weak).filter_map(|(_, tag)| tag.parse().ok()).collect();
        if versions.is_empty() { Err(edit_conflict()) } else { Ok(Self::Versions(versions)) }
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
            (Some("\"3\""), Ok(IfMatch::Versions(vec![3]))),
            (Some("W/\"3\""), Err(ErrorCode::EditConflict)),
            (Some("\"1\", \"7\""), Ok(IfMatch::Versions(vec![1, 7]))),
            (Some("\"1\",W/\"2\" , \"abc\",, \"7\""), Ok(IfMatch::Versions(vec![1, 7]))),
            (Some("\"a,b\", \"7\""), Ok(IfMatch::Versions(vec![7]))),
            (Some("W/\"1\", W/\"2\""), Err(ErrorCode::EditConflict)),
            (Some("*"), Ok(IfMatch::Any)),
            (Some("3"), Err(ErrorCode::MalformedRequest)),
            (Some("\"3"), Err(ErrorCode::MalformedRequest)),
            (Some("\"1\" \"2\""), Err(ErrorCode::MalformedRequest)),
            (Some("\"1\", 2"), Err(ErrorCode::MalformedRequest)),
            (Some("\"1\", *"), Err(ErrorCode::MalformedRequest)),
            (Some("w/\"1\""), Err(ErrorCode::MalformedRequest)),
            (Some(""), Err(ErrorCode::MalformedRequest)),
            (Some(" , "), Err(ErrorCode::MalformedRequest)),
            (Some("\"abc\""), Err(ErrorCode::EditConflict)),
            (Some("\"99999999999999999999\""), Err(ErrorCode::EditConflict)),
        ] {
            assert_eq!(parse(value).await, expected, "{value:?}");
        }
    }

    #[test]
    fn only_the_version_that_was_read_may_be_edited() {
        assert!(IfMatch::Versions(vec![1, 3]).check(3).is_ok());
        assert!(IfMatch::Any.check(3).is_ok());
        assert_eq!(IfMatch::Versions(vec![2, 4]).check(3).unwrap_err().code(), ErrorCode::EditConflict);
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
