use std::sync::Arc;

use axum::{Router, body::Body};
use bookworm_http::auth::{AccountClaims, Caller};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt;

/// Sends requests to a router, without a socket.
#[derive(Debug, Clone)]
pub struct Client {
    router: Router,
}

impl Client {
    /// To this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router }
    }

    /// A request. The path begins with `/` and may have a query.
    ///
    /// # Panics
    /// When the path is no path.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let request = http::Request::builder().method(method).uri(path).body(Body::empty());
        Request { router: self.router.clone(), request: request.unwrap_or_else(|error| panic!("{path}: {error}")) }
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// `POST`
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// `PUT`
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// `PATCH`
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    /// `DELETE`
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }
}

/// A request that is being made.
#[derive(Debug)]
#[must_use = "a request is sent by `send`"]
pub struct Request {
    router: Router,
    request: http::Request<Body>,
}

impl Request {
    /// Adds a header.
    ///
    /// # Panics
    /// When the name or the value cannot be one.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name: HeaderName = name.parse().expect("a test names its headers right");
        let value = HeaderValue::from_str(value.as_ref()).expect("a test's header values are visible ASCII");
        self.request.headers_mut().append(name, value);
        self
    }

    /// Adds headers.
    pub fn headers<'h>(self, headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Self {
        headers.into_iter().fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Signs the request with an access token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Comes from this account, as if a token had proved it.
    pub fn caller(self, account: Arc<AccountClaims>) -> Self {
        self.extension(Caller::Account(account))
    }

    /// Adds what a layer of the program would have added.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.request.extensions_mut().insert(value);
        self
    }

    /// Sends this value as JSON.
    ///
    /// # Panics
    /// When it has no JSON form.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a test's body is plain data");
        self.header("content-type", "application/json").body(body)
    }

    /// Sends this text of `key=value` pairs, percent-encoded, as a form.
    pub fn form(self, pairs: impl Into<String>) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(pairs.into())
    }

    /// Sends these fields as a form.
    pub fn fields(self, fields: &[(&str, &str)]) -> Self {
        self.form(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
    }

    /// Sends these bytes; their type is said by [`header`](Self::header).
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sends it and reads the whole response.
    ///
    /// # Panics
    /// When the body breaks off.
    pub async fn send(self) -> Response {
        let response = self.router.oneshot(self.request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the body is whole").to_bytes().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Response { status: parts.status, headers: parts.headers, body, bytes }
    }
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null when it is none.
    pub body: Value,
    /// The body's bytes.
    pub bytes: Vec<u8>,
}

impl Response {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as a value of the API.
    ///
    /// # Panics
    /// When it is not one.
    #[must_use]
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The response, when it has this status (`StatusCode::OK` or `200`).
    ///
    /// # Panics
    /// When it has another.
    #[must_use]
    #[track_caller]
    pub fn expect<S: std::fmt::Debug>(self, status: S) -> Self
    where
        StatusCode: PartialEq<S>,
    {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The response, when it is a problem (RFC 9457) with this status and this code.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text());
        assert!(self.is_problem(code), "the media type is {:?}", self.header(header::CONTENT_TYPE.as_str()));
        self
    }

    /// Whether it is a problem (RFC 9457) with this code.
    #[must_use]
    pub fn is_problem(&self, code: &str) -> bool {
        self.header(header::CONTENT_TYPE.as_str()) == Some("application/problem+json") && self.code() == code
    }

    /// The code of a problem; empty when it has none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A text in the body's JSON.
    ///
    /// # Panics
    /// When the body has no such member, or it is no text.
    #[must_use]
    #[track_caller]
    pub fn string(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.text())).to_owned()
    }

    /// The fields that a problem names, in its order.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
