//! What can be shown of the catalogue while it is away: its last good answers (RFC 5861, section 4, `stale-if-error`).
//!
//! Only strangers' questions, whose answers are the same for everybody. An answer that is given in place of a failure says
//! so in `Cache-Status`, and whoever shows it says so too: it may be out of date, and what changed since is unknown here.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bookworm_http::{Next, Problem};
use bookworm_kernel::{Clock, ErrorCode, Timestamp};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{answer::CACHE_STATUS, count, question::MAX_TARGET};
use crate::API;

/// For how long an answer is good enough when there is no other.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
/// How long the catalogue may take where there is a good answer: a catalogue that is silent (its process stopped, the
/// network cut) refuses nothing, and whoever shows the answer waits for 20 seconds at most.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much younger than what is stored an answer must be to take its place. Most requests ask what was asked a moment ago,
/// and storing costs as much as the rest of a cached answer.
const YOUNGER: Duration = Duration::from_secs(10);
/// The largest answer that is stored, in bytes.
const LARGEST: u64 = 256 * 1024;

/// The last good answers.
pub struct LastGood {
    answers: moka::sync::Cache<String, Arc<Good>>,
    clock: Arc<dyn Clock>,
}

struct Good {
    /// When the catalogue gave it.
    at: Timestamp,
    headers: HeaderMap,
    body: Bytes,
}

impl LastGood {
    /// None yet; at most `capacity` bytes of them.
    pub fn new(capacity: u64, clock: Arc<dyn Clock>) -> Self {
        let answers = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(|key: &String, good: &Arc<Good>| {
                u32::try_from(key.len() + good.body.len() + 1024).unwrap_or(u32::MAX)
            })
            .time_to_live(GOOD_FOR)
            .build();
        Self { answers, clock }
    }

    async fn answer(&self, key: &str, known: Option<&Good>, request: Request, next: Next) -> Response {
        let response = next.run(request).await;
        match response.status() {
            StatusCode::OK => self.store(key, known, response).await,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                self.instead(key, response)
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                self.answers.invalidate(key);
                response
            }
            _ => response,
        }
    }

    /// Stores a good answer on its way out, unless what is known is as good.
    async fn store(&self, key: &str, known: Option<&Good>, response: Response) -> Response {
        let at = self.clock.now().minus(age(response.headers()));
        if known.is_some_and(|good| at < good.at.plus(YOUNGER)) {
            return response;
        }
        // An answer of another process is read as it comes: only its head says how long it is.
        let said = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let fits = said.or(response.body().size_hint().upper()).is_some_and(|length: u64| length <= LARGEST);
        if !fits || response.headers().contains_key(header::CONTENT_ENCODING) {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
            return self.instead(key, Problem::new(ErrorCode::Unavailable).into_response());
        };
        let good = Good { at, headers: parts.headers.clone(), body: body.clone() };
        self.answers.insert(key.to_owned(), Arc::new(good));
        Response::from_parts(parts, Body::from(body))
    }

    /// The answer that is stored and still good enough, and its age.
    fn get(&self, key: &str) -> Option<(Arc<Good>, Duration)> {
        let good = self.answers.get(key)?;
        let age = self.clock.now().since(good.at);
        (age < GOOD_FOR).then_some((good, age))
    }

    /// The last good answer in place of a failure, or the failure.
    fn instead(&self, key: &str, failure: Response) -> Response {
        let Some((good, age)) = self.get(key) else { return failure };
        count("last_good");
        let mut response = Response::new(Body::from(good.body.clone()));
        let headers = response.headers_mut();
        headers.clone_from(&good.headers);
        let status = format!("bookworm; hit; fwd-status={}; detail={DETAIL}", failure.status().as_u16());
        if let Ok(status) = HeaderValue::try_from(status) {
            headers.insert(CACHE_STATUS, status);
        }
        headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        // Nobody else stores what may be wrong.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// How old an answer is, as it says.
fn age(headers: &HeaderMap) -> Duration {
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(age.unwrap_or_default())
}

/// What `Cache-Status` says of an answer that is given in place of a failure.
const DETAIL: &str = "stale-if-error";

/// Stores good answers of the catalogue, and gives them in place of failures.
pub async fn layer(State(last): State<Arc<LastGood>>, request: Request, next: Next) -> Response {
    let Some(key) = key(&request) else { return next.run(request).await };
    let known = last.get(&key).map(|(good, _)| good);
    let answer = last.answer(&key, known.as_deref(), request, next);
    if known.is_none() {
        return answer.await;
    }
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(response) => response,
        Err(_) => last.instead(&key, Problem::new(ErrorCode::Timeout).into_response()),
    }
}

/// Path and query of a stranger's question to the catalogue.
fn key(request: &Request) -> Option<String> {
    let known = |name| request.headers().contains_key(name);
    if request.method() != Method::GET || known("authorization") || known("basket-token") {
        return None;
    }
    let path = request.uri().path().strip_prefix(API)?;
    let is_shown =
        matches!(path, "/books" | "/subjects" | "/search" | "/recommendations") || path.starts_with("/books/");
    let target = request.uri().path_and_query()?.as_str();
    (is_shown && target.len() <= MAX_TARGET).then(|| target.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::any};
    use bookworm_kernel::ManualClock;
    use bookworm_testing::clock;
    use tower::ServiceExt;

    use super::*;

    /// The status and the body of the next answer; with the status 0 none ever comes.
    type Next = Arc<std::sync::Mutex<(u16, String)>>;

    fn shop() -> (Router, Arc<ManualClock>, Next) {
        let (clock, next) = (clock(), Arc::new(std::sync::Mutex::new((200, "one".to_owned()))));
        let answers = next.clone();
        let answer = move || {
            let (status, body) = answers.lock().unwrap().clone();
            async move {
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                (StatusCode::from_u16(status).unwrap(), [(header::ETAG, "\"1\"")], body)
            }
        };
        let last = Arc::new(LastGood::new(1 << 20, clock.clone()));
        (Router::new().fallback(any(answer)).layer(bookworm_http::Stack::new().with_state(last, layer)), clock, next)
    }

    async fn ask(shop: &Router, path: &str, token: bool) -> (u16, String, String) {
        let request = http::Request::get(path);
        let request = if token { request.header("authorization", "Bearer x") } else { request };
        let answer = shop.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let header = |name| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (status, said) = (answer.status().as_u16(), format!("{} {}", header("cache-status"), header("age")));
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), said.trim().to_owned())
    }

    #[tokio::test]
    async fn a_failure_is_answered_with_the_last_good_answer_and_says_so() {
        let (shop, clock, next) = shop();
        let good = (200, "one".to_owned(), String::new());
        for path in ["/api/v1/books?sort=title", "/api/v1/books/7", "/api/v1/orders"] {
            assert_eq!(ask(&shop, path, false).await, good, "{path}");
        }
        assert_eq!(ask(&shop, "/api/v1/books/8", true).await, good, "somebody's own");
        clock.advance(Duration::from_secs(300));
        for status in [502, 503, 504] {
            *next.lock().unwrap() = (status, "away".to_owned());
            let said = format!("bookworm; hit; fwd-status={status}; detail=stale-if-error 300");
            for path in ["/api/v1/books?sort=title", "/api/v1/books/7"] {
                assert_eq!(ask(&shop, path, false).await, (200, "one".to_owned(), said.clone()), "{path}");
            }
            for path in ["/api/v1/books?sort=price", "/api/v1/orders", "/api/v1/books/8"] {
                assert_eq!(ask(&shop, path, false).await.0, status, "{path}");
            }
            assert_eq!(ask(&shop, "/api/v1/books/7", true).await.0, status, "whoever is known gets no copy");
        }
        *next.lock().unwrap() = (404, String::new());
        assert_eq!(ask(&shop, "/api/v1/books/7", false).await.0, 404);
        *next.lock().unwrap() = (503, String::new());
        assert_eq!(ask(&shop, "/api/v1/books/7", false).await.0, 503, "a book that is gone stays gone");
        clock.advance(GOOD_FOR);
        assert_eq!(ask(&shop, "/api/v1/books?sort=title", false).await.0, 503, "too old");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_catalogue_is_answered_for_after_some_seconds_where_there_is_a_good_answer() {
        let (shop, clock, next) = shop();
        assert_eq!(ask(&shop, "/api/v1/books/7", false).await.0, 200);
        clock.advance(Duration::from_secs(60));
        *next.lock().unwrap() = (0, String::new());
        let began = tokio::time::Instant::now();
        let said = "bookworm; hit; fwd-status=504; detail=stale-if-error 60".to_owned();
        let asked = tokio::time::timeout(4 * TIMEOUT, ask(&shop, "/api/v1/books/7", false)).await;
        assert_eq!(asked.unwrap(), (200, "one".to_owned(), said));
        assert_eq!(began.elapsed().as_secs(), TIMEOUT.as_secs());
        for path in ["/api/v1/books/8", "/api/v1/orders"] {
            let asked = tokio::time::timeout(4 * TIMEOUT, ask(&shop, path, false)).await;
            assert!(asked.is_err(), "{path}: whoever asks waits as long as they will");
        }
        clock.advance(GOOD_FOR);
        let asked = tokio::time::timeout(4 * TIMEOUT, ask(&shop, "/api/v1/books/7", false)).await;
        assert!(asked.is_err(), "too old to stand for another");
    }

    #[tokio::test]
    async fn an_answer_is_as_old_as_it_says_and_takes_the_place_of_one_that_is_much_older() {
        let (clock, head) = (clock(), Arc::new(std::sync::Mutex::new((200, 0, "bookworm; fwd=miss; stored"))));
        let answers = head.clone();
        let answer = move || {
            let (status, age, cache) = *answers.lock().unwrap();
            let head = [("age", age.to_string()), ("cache-status", cache.to_owned())];
            std::future::ready((StatusCode::from_u16(status).unwrap(), head, "one"))
        };
        let last = Arc::new(LastGood::new(1 << 20, clock.clone()));
        let shop =
            Router::new().fallback(any(answer)).layer(bookworm_http::Stack::new().with_state(last.clone(), layer));
        let path = "/api/v1/books/7";
        let ask = async |status: u16, age: u64, cache: &'static str| {
            *head.lock().unwrap() = (status, age, cache);
            self::ask(&shop, path, false).await.2
        };
        ask(200, 20, "catalog; hit, bookworm; fwd=miss; stored").await;
        clock.advance(Duration::from_secs(30));
        let stored = last.answers.get(path).unwrap();
        ask(200, 50, "catalog; hit, bookworm; hit; ttl=10").await;
        assert!(Arc::ptr_eq(&stored, &last.answers.get(path).unwrap()), "stored already");
        assert!(ask(503, 0, "").await.ends_with("stale-if-error 50"));
        clock.advance(Duration::from_secs(9));
        ask(200, 50, "bookworm; fwd=miss").await;
        assert!(Arc::ptr_eq(&stored, &last.answers.get(path).unwrap()), "nine seconds younger");
        ask(200, 49, "bookworm; fwd=miss").await;
        assert!(ask(503, 0, "").await.ends_with("stale-if-error 49"), "ten seconds younger");
        clock.advance(Duration::from_secs(10));
        ask(200, 5, "bookworm; hit; ttl=55").await;
        assert!(ask(503, 0, "").await.ends_with("stale-if-error 5"), "the cache fetched it anew");
        ask(200, 3000, "bookworm; fwd=miss; stored").await;
        assert!(ask(503, 0, "").await.ends_with("stale-if-error 5"), "an older one is no better");
        clock.advance(Duration::from_secs(3595));
        assert_eq!(ask(503, 0, "bookworm; fwd=miss").await, "bookworm; fwd=miss 0", "an hour old by now");
    }
}
