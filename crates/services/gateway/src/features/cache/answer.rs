//! An answer: what is cached of it, for how long, and how it is sent again.

use std::{io::Write, sync::OnceLock, time::Duration};

use axum::response::Response;
use bookworm_kernel::{Clock, Timestamp};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response::Parts};
use serde::{Deserialize, Serialize};

use super::tags::Tag;

/// RFC 9211.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The books that an answer shows, as ids with spaces between: services set it, clients do not see it.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// The longest body that is cached, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// Shorter bodies are not worth the two headers that compression adds, in bytes.
const MIN_COMPRESSED: usize = 512;
/// The memory of an answer beside its body, headers and tags, in bytes, about.
const OVERHEAD: usize = 512;

/// Who may be given an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Every request for the same, while it is fresh, and while it is stale and a new one is being fetched.
    Cached {
        /// How long it is fresh.
        fresh: Duration,
        /// How long it may be given after that (RFC 5861).
        stale: Duration,
    },
    /// Those who wait for it now: failures, and degraded answers.
    Once,
    /// The request that it was fetched for.
    Never,
}

/// How long answers are cached when they do not ask for less.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// How long they are fresh.
    pub fresh: Duration,
    /// How long they may be given after that, while a new one is fetched.
    pub stale: Duration,
}

/// An answer, with all that decides who else may have it.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    /// As they are sent, without those that are made each time.
    headers: HeaderMap,
    body: Bytes,
    /// The body compressed by gzip, once a request wants it: compressed once for all. `None` when it saves too little.
    gzip: OnceLock<Option<Bytes>>,
    /// `Cache-Status` of the caches behind us (RFC 9211).
    behind: Option<HeaderValue>,
    /// The request's headers that it depends on, as they were.
    varies: Vec<(HeaderName, Option<HeaderValue>)>,
    /// What it depends on.
    pub tags: Vec<Tag>,
    /// The tick of [`Marks`](super::tags::Marks) before its fetch.
    pub since: u64,
    /// When it was requested, or made if it came from a cache behind us.
    made_at: Timestamp,
    pub reuse: Reuse,
}

/// How old an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Give it.
    Fresh,
    /// Give it, and fetch a new one.
    Stale,
    /// Do not give it.
    Expired,
}

/// The content coding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the service made it.
    Plain,
    /// Compressed, where that saves enough.
    Gzip,
}

impl Form {
    /// The best one for a request with these headers (RFC 9110, 12.5.3).
    pub fn wanted(headers: &HeaderMap) -> Self {
        /// The weight of a coding in thousandths; 0 when it cannot be read.
        fn weight(parameter: &str) -> u32 {
            let quality = parameter.trim().strip_prefix("q=").and_then(|quality| quality.trim().parse::<f32>().ok());
            quality.map_or(0, |quality| (quality.clamp(0.0, 1.0) * 1000.0) as u32)
        }
        let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let (mut gzip, mut plain) = (0, 0);
        for member in values.flat_map(|value| value.split(',')) {
            let (coding, weight) = member.split_once(';').map_or((member, 1000), |(name, q)| (name, weight(q)));
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => gzip = weight,
                coding if coding.eq_ignore_ascii_case("identity") => plain = weight,
                _ => {}
            }
        }
        if gzip > 0 && gzip >= plain { Self::Gzip } else { Self::Plain }
    }
}

/// The request that an answer belongs to.
#[derive(Debug)]
pub struct RequestInfo<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// What the request itself depends on.
    pub tags: &'a [Tag],
    /// The tick before it was sent.
    pub since: u64,
    /// When it was sent.
    pub at: Timestamp,
}

impl Answer {
    /// Reads a service's answer (RFC 9111, 3 and 4.2).
    ///
    /// It may ask to be cached for less than `lifetimes`, never for longer: the operator's bound holds.
    pub fn new(parts: Parts, body: Bytes, request: &RequestInfo<'_>, lifetimes: Lifetimes) -> Self {
        let Parts { status, mut headers, .. } = parts;
        let age = number(headers.remove(header::AGE).as_ref().and_then(|age| age.to_str().ok()));
        let books = headers.remove(SURROGATE_KEY);
        let behind = listed(&headers, &CACHE_STATUS);
        headers.remove(CACHE_STATUS);
        headers.remove(header::CONTENT_LENGTH);
        let varies = varies(&headers, request.headers);
        let mut reuse = reuse(status, &headers, lifetimes);
        let mut tags = request.tags.to_vec();
        match books.as_ref().map(tags_of) {
            Some(Some(books)) => tags.extend(books),
            // It names something that no invalidation will ever name.
            Some(None) => reuse = reuse.at_most_once(),
            None => tags.push(Tag::AnyBook),
        }
        if varies.is_none() {
            reuse = Reuse::Never;
        }
        if body.len() > MAX_BODY || (matches!(reuse, Reuse::Cached { .. }) && is_degraded(&headers, &body)) {
            reuse = reuse.at_most_once();
        }
        Self {
            status,
            headers,
            body,
            gzip: OnceLock::new(),
            behind,
            varies: varies.unwrap_or_default(),
            tags,
            since: request.since,
            made_at: request.at.minus(age.unwrap_or_default()),
            reuse,
        }
    }

    /// Whether a request with these headers would have got it.
    pub fn fits(&self, headers: &HeaderMap) -> bool {
        self.varies.iter().all(|(name, value)| headers.get(name) == value.as_ref())
    }

    /// The names of the request's headers that it depends on.
    pub fn varies_on(&self) -> impl Iterator<Item = &HeaderName> {
        self.varies.iter().map(|(name, _)| name)
    }

    /// Whether it is an error, or a redirection: nothing that depends on books.
    pub fn failed(&self) -> bool {
        self.status != StatusCode::OK
    }

    /// How old it is.
    pub fn age(&self, clock: &dyn Clock) -> Age {
        let Reuse::Cached { fresh, stale } = self.reuse else { return Age::Expired };
        match clock.now().since(self.made_at) {
            age if age < fresh => Age::Fresh,
            age if age < fresh.saturating_add(stale) => Age::Stale,
            _ => Age::Expired,
        }
    }

    /// How long it may be given from now on, fresh or stale.
    pub fn time_left(&self, clock: &dyn Clock) -> Duration {
        let Reuse::Cached { fresh, stale } = self.reuse else { return Duration::ZERO };
        fresh.saturating_add(stale).saturating_sub(clock.now().since(self.made_at))
    }

    /// Bytes in memory, about, with the longest compressed body: an answer is weighed before a request may want one.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 48).sum();
        self.body.len() + longest_gzip(&self.body) + headers + self.tags.len() * size_of::<Tag>() + OVERHEAD
    }

    /// The response from the cache: with `Age`, and a `Cache-Status` of a hit.
    pub fn reused(&self, form: Form, clock: &dyn Clock, detail: Option<&str>) -> Response {
        let age = clock.now().since(self.made_at).as_secs();
        let fresh = if let Reuse::Cached { fresh, .. } = self.reuse { fresh.as_secs() } else { 0 };
        // Negative: how long it is stale.
        let ttl = i128::from(fresh) - i128::from(age);
        let mut response = match detail {
            Some(detail) => self.send(form, format_args!("bookworm; hit; ttl={ttl}; detail={detail}")),
            None => self.send(form, format_args!("bookworm; hit; ttl={ttl}")),
        };
        response.headers_mut().insert(header::AGE, HeaderValue::from(age));
        response
    }

    /// The answer to send, with this as our part of `Cache-Status`: the cache nearest to the origin comes first.
    pub fn send(&self, form: Form, status: std::fmt::Arguments<'_>) -> Response {
        let gzip = if form == Form::Gzip { self.gzip() } else { None };
        let mut response = Response::new(axum::body::Body::from(gzip.unwrap_or(&self.body).clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.clone_from(&self.headers);
        if gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            weaken(headers);
        }
        add_status(headers, self.behind.as_ref(), status);
        response
    }

    /// The body compressed by gzip. `None` when it stays plain: then the layer that compresses responses may do so.
    fn gzip(&self) -> Option<&Bytes> {
        let worth = matches!(self.reuse, Reuse::Cached { .. })
            && self.body.len() >= MIN_COMPRESSED
            && !self.headers.contains_key(header::CONTENT_ENCODING);
        if !worth {
            return None;
        }
        self.gzip.get_or_init(|| compressed(&self.body)).as_ref()
    }

    /// As bytes for the second level. `None` for what cannot be written down.
    pub fn encode(&self) -> Option<Bytes> {
        let Reuse::Cached { fresh, stale } = self.reuse else { return None };
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let optional = |value: &Option<HeaderValue>| match value {
            Some(value) => text(value).map(Some),
            None => Some(None),
        };
        let mut head = Head {
            made_at: self.made_at.micros(),
            fresh_micros: u64::try_from(fresh.as_micros()).ok()?,
            stale_micros: u64::try_from(stale.as_micros()).ok()?,
            headers: Vec::new(),
            behind: optional(&self.behind)?,
            varies: Vec::new(),
            tags: self.tags.iter().map(ToString::to_string).collect(),
        };
        for (name, value) in &self.headers {
            head.headers.push((name.to_string(), text(value)?));
        }
        for (name, value) in &self.varies {
            head.varies.push((name.to_string(), optional(value)?));
        }
        let head = serde_json::to_vec(&head).ok()?;
        let mut bytes = Vec::with_capacity(5 + head.len() + self.body.len());
        bytes.push(FORMAT);
        bytes.extend(u32::try_from(head.len()).ok()?.to_be_bytes());
        bytes.extend(head);
        bytes.extend_from_slice(&self.body);
        Some(bytes.into())
    }

    /// Reads what [`encode`](Self::encode) wrote; it is valid from this tick on. `None` when another release wrote it.
    pub fn decode(bytes: &Bytes, since: u64) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (head, body) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if *format != FORMAT {
            return None;
        }
        let head: Head = serde_json::from_slice(head).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers {
            headers.append(HeaderName::try_from(name).ok()?, value.try_into().ok()?);
        }
        let mut varies = Vec::new();
        for (name, value) in head.varies {
            varies.push((name.try_into().ok()?, value.map(HeaderValue::try_from).transpose().ok()?));
        }
        Some(Self {
            status: StatusCode::OK,
            headers,
            body: bytes.slice_ref(body),
            gzip: OnceLock::new(),
            behind: head.behind.map(HeaderValue::try_from).transpose().ok()?,
            varies,
            tags: head.tags.iter().map(|tag| tag.parse().ok()).collect::<Option<_>>()?,
            since,
            made_at: Timestamp::from_micros(head.made_at),
            reuse: Reuse::Cached {
                fresh: Duration::from_micros(head.fresh_micros),
                stale: Duration::from_micros(head.stale_micros),
            },
        })
    }
}

impl Reuse {
    fn at_most_once(self) -> Self {
        if self == Self::Never { Self::Never } else { Self::Once }
    }
}

/// The first byte of an encoded answer: changes with the encoding.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Head {
    made_at: i64,
    fresh_micros: u64,
    stale_micros: u64,
    headers: Vec<(String, String)>,
    behind: Option<String>,
    varies: Vec<(String, Option<String>)>,
    tags: Vec<String>,
}

/// The longest compressed body: one that saves less than half is not worth its memory beside the plain one.
fn longest_gzip(body: &Bytes) -> usize {
    body.len() / 2
}

fn compressed(body: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(longest_gzip(body)), Compression::default());
    // Writing to memory does not fail.
    encoder.write_all(body).ok()?;
    let mut compressed = encoder.finish().ok()?;
    if compressed.len() > longest_gzip(body) {
        return None;
    }
    compressed.shrink_to_fit();
    Some(compressed.into())
}

/// Adds `Vary: accept-encoding`, and makes a strong `ETag` weak, since the compressed body has other bytes (RFC 9110,
/// 8.8.3.3).
fn weaken(headers: &mut HeaderMap) {
    let varies = directives(headers, &header::VARY).iter().any(|(name, _)| name == "*" || name == "accept-encoding");
    if !varies {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let strong = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        headers.insert(header::ETAG, weak);
    }
}

/// Adds our member of `Cache-Status` after those of the caches behind us.
pub fn add_status(headers: &mut HeaderMap, behind: Option<&HeaderValue>, status: std::fmt::Arguments<'_>) {
    let value = match behind.and_then(|behind| behind.to_str().ok()) {
        Some(behind) => format!("{behind}, {status}"),
        None => status.to_string(),
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(CACHE_STATUS, value);
    }
}

/// All values of a list header as one.
pub fn listed(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if values.is_empty() { None } else { HeaderValue::from_bytes(&values.join(b", ".as_slice())).ok() }
}

/// The members of a list header, in lower case, each with the value after `=`.
pub fn directives(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, Option<String>)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let members = values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty());
    members
        .map(|member| match member.split_once('=') {
            Some((name, value)) => (name.trim().to_ascii_lowercase(), Some(value.trim().trim_matches('"').to_owned())),
            None => (member.to_ascii_lowercase(), None),
        })
        .collect()
}

/// Whether the body says that a part of the service was missing: the next answer may be complete again.
fn is_degraded(headers: &HeaderMap, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        degraded: bool,
    }
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    json && serde_json::from_slice::<Body>(body).is_ok_and(|body| body.degraded)
}

fn tags_of(surrogate_key: &HeaderValue) -> Option<Vec<Tag>> {
    surrogate_key.to_str().ok()?.split_ascii_whitespace().map(|tag| tag.parse().ok()).collect()
}

fn number(text: Option<&str>) -> Option<Duration> {
    text?.trim().parse().ok().map(Duration::from_secs)
}

fn reuse(status: StatusCode, headers: &HeaderMap, lifetimes: Lifetimes) -> Reuse {
    let directives = directives(headers, &header::CACHE_CONTROL);
    let has = |name: &str| directives.iter().any(|(directive, _)| directive == name);
    let seconds = |name: &str| {
        let (_, value) = directives.iter().find(|(directive, _)| directive == name)?;
        // What cannot be read counts as nothing (RFC 9111, 4.2.1).
        Some(number(value.as_deref()).unwrap_or_default())
    };
    if headers.contains_key(header::SET_COOKIE) || has("private") {
        return Reuse::Never;
    }
    if status != StatusCode::OK || has("no-store") || has("no-cache") {
        return Reuse::Once;
    }
    let asked = seconds("s-maxage").or_else(|| seconds("max-age"));
    let fresh = asked.map_or(lifetimes.fresh, |asked| asked.min(lifetimes.fresh));
    let stale = match seconds("stale-while-revalidate") {
        Some(asked) => asked.min(lifetimes.stale),
        None if has("must-revalidate") || has("proxy-revalidate") || has("s-maxage") => Duration::ZERO,
        None => lifetimes.stale,
    };
    if fresh.is_zero() { Reuse::Once } else { Reuse::Cached { fresh, stale } }
}

/// What `Vary` names, as the request had it; `None` when no other request can be known to be alike.
fn varies(answer: &HeaderMap, request: &HeaderMap) -> Option<Vec<(HeaderName, Option<HeaderValue>)>> {
    let mut varies = Vec::new();
    for (name, _) in directives(answer, &header::VARY) {
        // `*` is no name of a header.
        let name = if name == "*" { None } else { HeaderName::try_from(name).ok() }?;
        varies.push((name.clone(), request.get(&name).cloned()));
    }
    Some(varies)
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::{BookId, ManualClock};

    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { fresh: Duration::from_secs(30), stale: Duration::from_secs(300) };
    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn answer(headers: &[(&str, &str)], request: &HeaderMap) -> Answer {
        let response =
            headers.iter().fold(http::Response::builder(), |builder, (name, value)| builder.header(*name, *value));
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let info = RequestInfo { headers: request, tags: &[Tag::Everything], since: 7, at: START };
        Answer::new(parts, Bytes::from_static(b"{}"), &info, LIFETIMES)
    }

    fn plain(headers: &[(&str, &str)]) -> Answer {
        answer(headers, &HeaderMap::new())
    }

    fn cached(fresh: u64, stale: u64) -> Reuse {
        Reuse::Cached { fresh: Duration::from_secs(fresh), stale: Duration::from_secs(stale) }
    }

    #[test]
    fn an_answer_may_ask_for_less_and_never_for_more() {
        for (control, reuse) in [
            ("", cached(30, 300)),
            ("max-age=10", cached(10, 300)),
            ("Max-Age=\"10\"", cached(10, 300)),
            ("max-age=100", cached(30, 300)),
            ("max-age=10, s-maxage=20", cached(20, 0)),
            ("max-age=10, stale-while-revalidate=5", cached(10, 5)),
            ("max-age=10, must-revalidate", cached(10, 0)),
            ("stale-while-revalidate=9999", cached(30, 300)),
            ("max-age=0", Reuse::Once),
            ("max-age=nonsense", Reuse::Once),
            ("no-store", Reuse::Once),
            ("no-cache", Reuse::Once),
            ("private, max-age=10", Reuse::Never),
            ("public", cached(30, 300)),
        ] {
            assert_eq!(plain(&[("cache-control", control)]).reuse, reuse, "{control}");
        }
        assert_eq!(plain(&[("set-cookie", "a=b")]).reuse, Reuse::Never);
        assert_eq!(plain(&[("vary", "Accept, *")]).reuse, Reuse::Never);
        assert_eq!(plain(&[("surrogate-key", "nonsense")]).reuse, Reuse::Once, "nothing would ever drop it");
    }

    #[test]
    fn what_says_that_it_is_degraded_is_not_kept() {
        let reuse = |body: &'static str| {
            let response = http::Response::builder().header("content-type", "application/json").body(()).unwrap();
            let put = RequestInfo { headers: &HeaderMap::new(), tags: &[], since: 7, at: START };
            Answer::new(response.into_parts().0, Bytes::from_static(body.as_bytes()), &put, LIFETIMES).reuse
        };
        assert_eq!(reuse(r#"{"items":[{"degraded":false}],"degraded":true,"took_ms":3}"#), Reuse::Once);
        for whole in [r#"{"items":[{"degraded":true}],"degraded":false}"#, r#"{"items":[]}"#, "[]", "nonsense"] {
            assert_eq!(reuse(whole), cached(30, 300), "{whole}");
        }
    }

    #[test]
    fn books_become_tags_and_are_not_told() {
        let (one, two) = (BookId::new(), BookId::new());
        let tagged = plain(&[("surrogate-key", &format!("{one} {two}"))]);
        assert_eq!(tagged.tags, [Tag::Everything, Tag::Book(one), Tag::Book(two)]);
        let sent = tagged.send(Form::Plain, format_args!("bookworm; fwd=miss"));
        assert!(!sent.headers().contains_key(SURROGATE_KEY));
        assert_eq!(plain(&[("surrogate-key", "")]).tags, [Tag::Everything], "it shows no book");
        assert_eq!(plain(&[]).tags, [Tag::Everything, Tag::AnyBook], "it does not say");
    }

    #[test]
    fn what_is_kept_is_compressed_once_for_those_who_take_it_so() {
        let body = Bytes::from(br#"{"title":"The Sea, the Sea"}"#.repeat(100));
        let make = |headers: &[(&str, &str)], body: Bytes| {
            let response =
                headers.iter().fold(http::Response::builder(), |all, (name, value)| all.header(*name, *value));
            let put = RequestInfo { headers: &HeaderMap::new(), tags: &[], since: 7, at: START };
            Answer::new(response.body(()).unwrap().into_parts().0, body, &put, LIFETIMES)
        };
        let (answer, status) = (make(&[("etag", "\"1\""), ("vary", "Prefer")], body.clone()), "bookworm; hit");
        let sent = answer.send(Form::Gzip, format_args!("{status}"));
        assert_eq!(sent.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(sent.headers()[header::ETAG], "W/\"1\"", "other bytes than the plain form");
        let varies: Vec<_> = sent.headers().get_all(header::VARY).iter().collect();
        assert_eq!(varies, ["Prefer", "accept-encoding"]);
        let compressed = answer.gzip().expect("it saves a lot").clone();
        assert_eq!(compressed.as_ptr(), answer.gzip().unwrap().as_ptr(), "made once");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut plain).unwrap();
        assert_eq!(plain, body);
        assert!(answer.size() >= body.len() + compressed.len(), "both take memory");

        let sent = answer.send(Form::Plain, format_args!("{status}"));
        assert!(!sent.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(sent.headers()[header::ETAG], "\"1\"");

        let stays_plain = |headers: &[(&str, &str)], body: &Bytes| {
            let answer = make(headers, body.clone());
            let sent = answer.send(Form::Gzip, format_args!("{status}"));
            answer.gzip().is_none() && sent.headers().get(header::CONTENT_ENCODING).is_none_or(|coding| coding == "br")
        };
        assert!(stays_plain(&[], &body.slice(..100)), "too short");
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..4000).map(|_| byte()).collect();
        assert!(stays_plain(&[], &noise.into()), "it saves nothing");
        assert!(stays_plain(&[("cache-control", "no-store")], &body), "sent once");
        assert!(stays_plain(&[("content-encoding", "br")], &body), "compressed already");
    }

    #[test]
    fn gzip_is_for_those_who_say_so() {
        let form = |accepts: &[&str]| {
            let headers = accepts.iter().map(|value| (header::ACCEPT_ENCODING, value.parse().unwrap()));
            Form::wanted(&headers.collect())
        };
        for accepts in
            [&["gzip"][..], &["br;q=1.0, GZIP;q=0.8, *;q=0.1"], &["deflate", "x-gzip"], &["identity;q=0.5, gzip;q=0.5"]]
        {
            assert_eq!(form(accepts), Form::Gzip, "{accepts:?}");
        }
        for accepts in [
            &[][..],
            &[""],
            &["br, deflate"],
            &["gzip;q=0"],
            &["gzip;q=0.5, identity"],
            &["gzip;level=9"],
            &["gzipped"],
        ] {
            assert_eq!(form(accepts), Form::Plain, "{accepts:?}");
        }
    }

    #[test]
    fn ages_are_counted_from_when_it_was_made() {
        let clock = ManualClock::at(START);
        let cached_answer = plain(&[("age", "10"), ("cache-status", "catalog; hit")]);
        let seen = |clock: &ManualClock| {
            let sent = cached_answer.reused(Form::Plain, clock, None);
            let text = |name: &str| sent.headers()[name].to_str().unwrap().to_owned();
            (cached_answer.age(clock), text("age"), text("cache-status"))
        };
        assert_eq!(seen(&clock), (Age::Fresh, "10".into(), "catalog; hit, bookworm; hit; ttl=20".into()));
        clock.advance(Duration::from_secs(20));
        assert_eq!(seen(&clock), (Age::Stale, "30".into(), "catalog; hit, bookworm; hit; ttl=0".into()));
        clock.advance(Duration::from_secs(300));
        assert_eq!(cached_answer.age(&clock), Age::Expired);
        assert_eq!(cached_answer.time_left(&clock), Duration::ZERO);
    }

    #[test]
    fn the_second_level_gives_back_what_it_was_given() {
        let request: HeaderMap = [(header::ACCEPT_LANGUAGE, "de".parse().unwrap())].into_iter().collect();
        let cached_answer = answer(
            &[
                ("content-type", "application/json"),
                ("vary", "accept-language, prefer"),
                ("cache-status", "catalog; hit"),
            ],
            &request,
        );
        let bytes = cached_answer.encode().unwrap();
        let back = Answer::decode(&bytes, 9).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", Answer { since: 9, ..cached_answer }));
        assert!(back.fits(&request));
        assert!(!back.fits(&HeaderMap::new()));
        for broken in [&b""[..], b"\x01", b"\x01\0\0\0\xff{}", b"\x01\0\0\0\x02{}", b"\x02\0\0\0\x02{}"] {
            assert!(Answer::decode(&Bytes::copy_from_slice(broken), 9).is_none(), "{broken:?}");
        }
        assert!(plain(&[("cache-control", "no-store")]).encode().is_none());
    }
}
