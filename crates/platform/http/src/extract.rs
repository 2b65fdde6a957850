use std::error::Error;

use axum::{
    body::HttpBody as _,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody, PathRejection},
    },
    response::{IntoResponse, Response},
};
use bookworm_kernel::{ErrorCode, FieldError};
use bytes::Bytes;
use http::{Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::{Path as FieldPath, Segment};

use crate::{Problem, Result, TooSlow};

/// The most bytes of a body, as an extension of the request: what [`ApiJson`] refuses without reading it.
#[derive(Debug, Clone, Copy)]
pub struct LargestBody(pub usize);

/// A JSON object as the body.
///
/// As an extractor it refuses with 415 `unsupported_media_type` (not `application/json`), 413 `body_too_large`, 408
/// `body_too_slow`, 400 `malformed_body` (not UTF-8 or not JSON, with line and column) or 400 `validation_failed` (JSON of another shape,
/// with a JSON Pointer to the field). As an answer it is the JSON of its content.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            return Err(Problem::new(ErrorCode::UnsupportedMediaType).detail("Send the body as application/json."));
        }
        // Known before it comes: nobody needs to send it.
        let largest = request.extensions().get::<LargestBody>().map_or(u64::MAX, |largest| largest.0 as u64);
        if request.body().size_hint().lower() > largest {
            return Err(Problem::new(ErrorCode::BodyTooLarge));
        }
        let body = Bytes::from_request(request, state).await.map_err(unreadable)?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for ApiJson<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

fn is_json(headers: &http::HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(mime) = value.and_then(|value| value.parse::<mime::Mime>().ok()) else { return false };
    mime.essence_str() == mime::APPLICATION_JSON
        && mime.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8)
}

/// Why a body could not be read: 413 `body_too_large`, 408 `body_too_slow`, or 400 `malformed_body`.
pub fn unreadable(rejection: BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(ErrorCode::BodyTooLarge)
        }
        slow if caused_by::<TooSlow>(&slow) => Problem::new(ErrorCode::BodyTooSlow),
        _ => Problem::new(ErrorCode::MalformedBody).detail("The body ended too early."),
    }
}

/// Whether an error, or what caused it, is one of this type.
fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<E>() || error.source().is_some_and(caused_by::<E>)
}

/// Reads JSON of an expected shape.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // Most bodies are fine; only a bad one pays for tracking where it went wrong.
    match serde_json::from_slice(body) {
        // serde would fill a struct from an array as well, by position.
        Ok(_) if !is_object(body) => Err(not_an_object()),
        Ok(value) => Ok(value),
        Err(error) => Err(explain::<T>(body, &error)),
    }
}

/// Reads JSON of an expected shape that came another way than as a body, with the same errors as [`ApiJson`].
///
/// # Errors
/// 400 `validation_failed` with the field that is wrong.
pub fn read_json<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T> {
    match T::deserialize(value) {
        Ok(read) if value.is_object() => Ok(read),
        _ => parse(value.to_string().as_bytes()),
    }
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

fn not_an_object() -> Problem {
    Problem::validation(vec![FieldError::new("", "must be an object")])
}

fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let malformed = |detail: String| Problem::new(ErrorCode::MalformedBody).detail(detail);
    if let Err(error) = std::str::from_utf8(body) {
        return malformed(format!("The body is not UTF-8 from byte {} on.", error.valid_up_to()));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return malformed("The body is empty.".to_owned());
    }
    if !error.is_data() {
        return malformed(format!("The body is not JSON: {}.", without_position(&error.to_string())))
            .with("line", error.line())
            .with("column", error.column());
    }
    if !is_object(body) {
        return not_an_object();
    }
    let tracked: Result<T, _> = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(body));
    let (pointer, message) = match tracked {
        Err(error) => (pointer(error.path()), error.inner().to_string()),
        Ok(_) => (String::new(), error.to_string()),
    };
    Problem::validation(vec![name_field(pointer, without_position(&message))])
}

/// Query parameters. One without a value, or with blanks only, counts as left out: forms send every field. Refuses with 400 `validation_failed` naming the parameter as `/limit`.
#[derive(Debug, Clone, Copy)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let given = parts.uri.query().and_then(without_blanks);
        let Query(value) = match given {
            Some(uri) => Query::try_from_uri(&uri),
            None => Query::from_request_parts(parts, state).await,
        }
        .map_err(|rejection| {
            let mut link: Option<&(dyn Error + 'static)> = Some(&rejection);
            while let Some(error) = link {
                if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
                    return Problem::validation(vec![name_field(pointer(error.path()), &error.inner().to_string())]);
                }
                link = error.source();
            }
            Problem::new(ErrorCode::MalformedRequest).detail("The query string cannot be read.")
        })?;
        Ok(Self(value))
    }
}

/// The query without its blank parameters, as an address; `None`: it has none.
fn without_blanks(query: &str) -> Option<Uri> {
    let given: Vec<&str> = query.split('&').filter(|pair| !is_blank(pair)).collect();
    let given = (given.len() < query.split('&').count()).then(|| format!("/?{}", given.join("&")));
    given.and_then(|given| given.parse().ok())
}

fn is_blank(pair: &str) -> bool {
    let value = pair.split_once('=').map_or("", |(_, value)| value).replace('+', " ");
    percent_decode_str(&value).decode_utf8().is_ok_and(|value| value.trim().is_empty())
}

/// Parameters of the path. One that cannot be read is an address at which nothing is: 404 `not_found`.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection @ PathRejection::MissingPathParams(_)) => Err(Problem::internal(&rejection)),
            Err(_) => Err(Problem::new(ErrorCode::NotFound).detail("There is nothing at this address.")),
        }
    }
}

/// A path into a document as a JSON Pointer (RFC 6901).
fn pointer(path: &FieldPath) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => push(&mut pointer, key),
            Segment::Unknown => {}
        }
    }
    pointer
}

fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// serde's message about a field, in words for people, with a pointer to the field itself rather than to its parent.
fn name_field(mut pointer: String, message: &str) -> FieldError {
    for (start, text) in [("missing field `", "is required"), ("duplicate field `", "must be given once only")] {
        if let Some((name, _)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            push(&mut pointer, name);
            return FieldError::new(pointer, text);
        }
    }
    if let Some((name, rest)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        let mut suffix = String::new();
        push(&mut suffix, name);
        if !pointer.ends_with(&suffix) {
            pointer.push_str(&suffix);
        }
        return FieldError::new(pointer, format!("is not known{rest}"));
    }
    if let Some((got, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        return FieldError::new(pointer, format!("must be {}, not {}", expected_words(expected), got_words(got)));
    }
    FieldError::new(pointer, parse_words(message))
}

/// The messages of the standard library's and uuid's parsers.
fn parse_words(message: &str) -> String {
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number".to_owned()
        }
        "number too large to fit in target type" => "is too large".to_owned(),
        "number too small to fit in target type" => "is too small".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "must be a number".to_owned(),
        "provided string was not `true` or `false`" => "must be true or false".to_owned(),
        uuid if uuid.starts_with("UUID parsing failed") => "must be a UUID".to_owned(),
        other => shorten(other),
    }
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        "a formatted UUID string" => "a UUID",
        other if other.starts_with("struct ") || other.contains("enum ") || other.contains("tuple ") => "an object",
        other => other,
    }
}

/// What was sent, without repeating long values.
fn got_words(got: &str) -> String {
    match got {
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        "unit value" | "Option value" => "null".to_owned(),
        "null" => "null".to_owned(),
        other if other.starts_with("string ") => "text".to_owned(),
        other => shorten(
            &other.replace('`', "").replace("integer ", "").replace("floating point ", "").replace("boolean ", ""),
        ),
    }
}

fn shorten(text: &str) -> String {
    const MAX: usize = 200;
    if text.chars().count() <= MAX { text.to_owned() } else { text.chars().take(MAX).chain("...".chars()).collect() }
}

/// serde_json ends its messages with the position, which means nothing to a person who filled in a form.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Body,
        extract::DefaultBodyLimit,
        routing::{get, post},
    };
    use bookworm_kernel::{BookId, Quantity};
    use serde::Deserialize;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::PageParams;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "quantity")]
        _quantity: Quantity,
        #[serde(rename = "book_id")]
        _book: BookId,
        #[serde(rename = "lines", default)]
        _lines: Vec<Line>,
        #[serde(rename = "a/b~c", default)]
        _odd: Option<u32>,
    }

    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "amount")]
        _amount: i64,
    }

    #[derive(Deserialize)]
    struct Filters {
        #[serde(rename = "min_price", default)]
        _min_price: Option<i64>,
        #[serde(flatten)]
        page: PageParams,
    }

    #[derive(Deserialize)]
    struct Strict {
        #[serde(rename = "q")]
        _q: String,
        #[serde(rename = "max", default)]
        _max: Option<u32>,
    }

    fn app() -> Router {
        Router::new()
            .route("/orders", post(|ApiJson(_): ApiJson<Order>| async {}).layer(DefaultBodyLimit::max(1000)))
            .route("/flat", get(|ApiQuery(f): ApiQuery<Filters>| async move { f.page.limit().map(|n| n.to_string()) }))
            .route("/strict", get(|ApiQuery(_): ApiQuery<Strict>| async {}))
            .route("/books/{id}", get(|ApiPath(_): ApiPath<BookId>| async {}))
    }

    async fn send(request: http::Request<Body>) -> (u16, Value) {
        let response = app().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn post_body(content_type: &str, body: impl Into<Body>) -> String {
        let request = http::Request::post("/orders").header("content-type", content_type).body(body.into()).unwrap();
        summary(send(request).await)
    }

    fn summary((status, body): (u16, Value)) -> String {
        let errors = body["errors"].as_array().into_iter().flatten();
        let errors: Vec<_> =
            errors.map(|e| format!("{} {}", e["field"].as_str().unwrap(), e["message"].as_str().unwrap())).collect();
        let position = body.get("line").map(|line| format!(" [{line}:{}]", body["column"])).unwrap_or_default();
        let message =
            if errors.is_empty() { body["detail"].as_str().unwrap_or_default().to_owned() } else { errors.join("; ") };
        format!("{status} {} {message}{position}", body["code"].as_str().unwrap_or_default()).trim_end().to_owned()
    }

    #[tokio::test]
    async fn a_good_body_is_read() {
        let body = r#"{"quantity": 1, "book_id": "0190b0a0-0000-7000-8000-000000000001"}"#;
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=UTF-8"] {
            assert_eq!(post_body(content_type, body).await, "200", "{content_type}");
        }
    }

    #[tokio::test]
    async fn every_bad_body_is_explained() {
        const ID: &str = "\"book_id\": \"0190b0a0-0000-7000-8000-000000000001\"";
        let bodies = [
            "".to_owned(),
            "  \n".to_owned(),
            "{".to_owned(),
            "{\n  \"quantity\": 1,,\n}".to_owned(),
            format!("{{\"quantity\": 1, {ID}}} x"),
            "[".repeat(500),
            "null".to_owned(),
            "[]".to_owned(),
            "[1, \"0190b0a0-0000-7000-8000-000000000001\", [], 1]".to_owned(),
            "\"text\"".to_owned(),
            "{}".to_owned(),
            "{\"quantity\": 1}".to_owned(),
            format!("{{\"quantity\": 0, {ID}}}"),
            format!("{{\"quantity\": \"two\", {ID}}}"),
            format!("{{\"quantity\": 1.5, {ID}}}"),
            format!("{{\"quantity\": null, {ID}}}"),
            format!("{{\"quantity\": 99999999999999999999, {ID}}}"),
            "{\"quantity\": 1, \"book_id\": \"abc\"}".to_owned(),
            "{\"quantity\": 1, \"book_id\": 7}".to_owned(),
            format!("{{\"quantity\": 1, {ID}, \"colour\": \"red\"}}"),
            format!("{{\"quantity\": 1, \"quantity\": 2, {ID}}}"),
            format!("{{\"quantity\": 1, {ID}, \"lines\": [{{\"amount\": 1}}, {{\"amount\": true}}]}}"),
            format!("{{\"quantity\": 1, {ID}, \"lines\": [{{}}]}}"),
            format!("{{\"quantity\": 1, {ID}, \"lines\": {{}}}}"),
            format!("{{\"quantity\": 1, {ID}, \"a/b~c\": -1}}"),
        ];
        let mut lines = Vec::new();
        for body in bodies {
            lines.push(post_body("application/json", body).await);
        }
        insta::assert_snapshot!(lines.join("\n"), @"
        400 malformed_body The body is empty.
        400 malformed_body The body is empty.
        400 malformed_body The body is not JSON: EOF while parsing an object. [1:1]
        400 malformed_body The body is not JSON: key must be a string. [2:17]
        400 malformed_body The body is not JSON: trailing characters. [1:68]
        400 validation_failed  must be an object
        400 validation_failed  must be an object
        400 validation_failed  must be an object
        400 validation_failed  must be an object
        400 validation_failed  must be an object
        400 validation_failed /quantity is required
        400 validation_failed /book_id is required
        400 validation_failed /quantity must be between 1 and 99, not 0
        400 validation_failed /quantity must be a whole number, not text
        400 validation_failed /quantity must be a whole number, not 1.5
        400 validation_failed /quantity must be a whole number, not null
        400 validation_failed /quantity must be a whole number, not 1e+20
        400 validation_failed /book_id must be a UUID
        400 validation_failed /book_id must be a UUID, not 7
        400 validation_failed /colour is not known, expected one of `quantity`, `book_id`, `lines`, `a/b~c`
        400 validation_failed /quantity must be given once only
        400 validation_failed /lines/1/amount must be a whole number, not true
        400 validation_failed /lines/0/amount is required
        400 validation_failed /lines must be an array, not an object
        400 validation_failed /a~1b~0c must be a whole number of 0 or more, not -1
        ");
    }

    #[tokio::test]
    async fn media_type_encoding_and_size_are_checked() {
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json"]
        {
            assert!(post_body(content_type, "{}").await.starts_with("415 unsupported_media_type"), "{content_type}");
        }
        let without = http::Request::post("/orders").body(Body::from("{}")).unwrap();
        assert_eq!(send(without).await.0, 415);
        let not_utf8 = [b"{\"quantity\": \"".as_slice(), &[0xff], b"\"}"].concat();
        insta::assert_snapshot!(post_body("application/json", not_utf8).await, @"400 malformed_body The body is not UTF-8 from byte 14 on.");
        let long = format!("{{\"x\": \"{}\"}}", "x".repeat(1000));
        insta::assert_snapshot!(post_body("application/json", long).await, @"413 body_too_large");
    }

    #[tokio::test]
    async fn query_and_path_are_explained() {
        let mut lines = Vec::new();
        for path in [
            "/flat?limit=5&min_price=1",
            "/flat?limit=500",
            "/flat?limit=x",
            "/strict",
            "/strict?q=a&max=-1",
            "/strict?q=a&max=",
            "/strict?max=&q=%20&max=+",
            "/strict?q=a&max&&max=%E2%80%83",
            "/strict?q=a&q=b",
            "/strict?q=a&max=%ff",
            "/flat?limit=&cursor=&min_price=+",
            "/books/0190b0a0-0000-7000-8000-000000000001",
            "/books/abc",
            "/books/%ff",
        ] {
            let request = http::Request::get(path).body(Body::empty()).unwrap();
            lines.push(format!("{path} -> {}", summary(send(request).await)));
        }
        insta::assert_snapshot!(lines.join("\n"), @"
        /flat?limit=5&min_price=1 -> 200
        /flat?limit=500 -> 400 validation_failed /limit must be a whole number from 1 to 100
        /flat?limit=x -> 400 validation_failed /limit must be a whole number from 1 to 100
        /strict -> 400 validation_failed /q is required
        /strict?q=a&max=-1 -> 400 validation_failed /max must be a whole number
        /strict?q=a&max= -> 200
        /strict?max=&q=%20&max=+ -> 400 validation_failed /q is required
        /strict?q=a&max&&max=%E2%80%83 -> 200
        /strict?q=a&q=b -> 400 validation_failed /q must be given once only
        /strict?q=a&max=%ff -> 400 validation_failed /max must be a whole number
        /flat?limit=&cursor=&min_price=+ -> 200
        /books/0190b0a0-0000-7000-8000-000000000001 -> 200
        /books/abc -> 404 not_found There is nothing at this address.
        /books/%ff -> 404 not_found There is nothing at this address.
        ");
    }
}
