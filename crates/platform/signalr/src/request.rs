//! The HTTP request behind a connection, and who is behind the request.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};

/// What is copied of a request: path, query and headers, in memory of its own.
#[derive(Debug, Clone, Default)]
pub struct HttpRequest {
    path: Box<str>,
    query: Box<str>,
    headers: HeaderMap,
}

impl HttpRequest {
    /// Copies: header values of a server are slices of its read buffer, and would keep the whole buffer alive.
    pub(crate) fn of(parts: &Parts) -> Self {
        let mut headers = HeaderMap::with_capacity(parts.headers.len());
        for (name, value) in &parts.headers {
            if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
                copy.set_sensitive(value.is_sensitive() || name == header::AUTHORIZATION || name == header::COOKIE);
                headers.append(name.clone(), copy);
            }
        }
        Self { path: parts.uri.path().into(), query: parts.uri.query().unwrap_or_default().into(), headers }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of a parameter of the query, decoded; names are compared without regard to case.
    pub fn query(&self, name: &str) -> Option<String> {
        query_value(&self.query, name)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// A parameter of a query, decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decode(key).eq_ignore_ascii_case(name))
        .map(|(_, value)| decode(value))
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Who is behind a connection.
#[derive(Clone, Default)]
pub struct Principal {
    user_id: Option<Arc<str>>,
    origin: Option<Arc<str>>,
    expires: Option<Instant>,
    details: Option<Arc<dyn Any + Send + Sync>>,
}

impl Principal {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A user, by the id that [`Clients::user`](crate::Clients::user) sends to. Compared exactly.
    pub fn user(id: impl Into<Arc<str>>) -> Self {
        Self { user_id: Some(id.into()), ..Self::default() }
    }

    /// The proof of who it is ends then; see
    /// [`Options::close_on_authentication_expiration`](crate::Options::close_on_authentication_expiration).
    #[must_use]
    pub fn expiring_in(mut self, time: Duration) -> Self {
        self.expires = Some(Instant::now() + time);
        self
    }

    /// Where it comes from, such as the client's network: what
    /// [`Options::maximum_connections_per_origin`](crate::Options::maximum_connections_per_origin) counts by.
    #[must_use]
    pub fn from_origin(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Whatever else is known: claims, rights.
    #[must_use]
    pub fn with_details<T: Send + Sync + 'static>(mut self, details: T) -> Self {
        self.details = Some(Arc::new(details));
        self
    }

    /// The user's id, unless anonymous.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    pub(crate) fn origin(&self) -> Option<&Arc<str>> {
        self.origin.as_ref()
    }

    /// What [`Principal::with_details`] put there, when it is a `T`.
    pub fn details<T: 'static>(&self) -> Option<&T> {
        self.details.as_deref()?.downcast_ref()
    }

    pub(crate) fn has_expired(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= Instant::now())
    }
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Principal").field("anonymous", &self.user_id.is_none()).finish_non_exhaustive()
    }
}

/// What an authenticator sees of a request.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The method.
    pub method: Method,
    /// Path, query and headers.
    pub request: HttpRequest,
    /// The bearer token: of the `Authorization` header, else of the `access_token` parameter, which browsers use where
    /// they cannot set headers.
    pub token: Option<String>,
}

impl Credentials {
    pub(crate) fn of(parts: &Parts) -> Self {
        let request = HttpRequest::of(parts);
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let token = bearer.or_else(|| request.query("access_token"));
        Self { method: parts.method.clone(), request, token }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Nobody knows who it is: status 401.
    Unauthorized,
    /// It is known, and may not: status 403.
    Forbidden,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
        .into_response()
    }
}

pub(crate) type Authenticator =
    dyn Fn(Credentials) -> Pin<Box<dyn Future<Output = Result<Principal, Rejection>> + Send>> + Send + Sync;

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_header_wins_over_the_query() {
        let both = Credentials::of(&parts("/hub?access_token=query", &[("authorization", "bearer header")]));
        assert_eq!(both.token.as_deref(), Some("header"));
        let query = Credentials::of(&parts("/hub?x=1&Access_Token=a%2Bb", &[("authorization", "Basic abc")]));
        assert_eq!(query.token.as_deref(), Some("a+b"));
        assert_eq!(Credentials::of(&parts("/hub", &[])).token, None);
    }

    #[test]
    fn cookies_are_found_and_secrets_are_not_printed() {
        let request = HttpRequest::of(&parts("/hub", &[("cookie", "a=1; b=two"), ("authorization", "Bearer secret")]));
        assert_eq!((request.cookie("b"), request.cookie("c")), (Some("two"), None));
        assert!(!format!("{request:?}").contains("secret"));
    }
}
