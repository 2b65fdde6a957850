//! Caches answers that are the same for everybody: most of what a shop is asked was asked a moment ago.
//!
//! | part | what it knows |
//! |---|---|
//! | [`question`] | which requests have a cacheable answer, and when two ask for the same |
//! | [`answer`] | how long a service allows its answer to be cached (RFC 9111, 5861), and how it is sent again (RFC 9211) |
//! | [`tags`] | what an answer depends on, and whether that has changed since |
//! | [`single_flight`] | what is being fetched now, so that it is fetched once |
//! | [`last_good`] | what can be shown while the catalogue is away |
//! | [`second_level`] | a cache outside the process, which several gateways share |
//!
//! The catalogue's messages invalidate: see `reactions/`.
//!
//! A change counts from the arrival of its message. From then on, no request gets an answer that was fetched before and
//! depends on it: neither fresh nor stale, neither from memory nor from a fetch under way. The exception is marked: what
//! [`last_good`] gives in place of a failure.
//!
//! `Cache-Control` of a request is respected for staff alone (RFC 9111 lets a cache choose): a stranger who could bypass
//! the cache could make the services do the work that it saves.

pub mod answer;
pub mod last_good;
mod question;
mod second_level;
mod single_flight;
pub mod tags;
#[cfg(test)]
mod tests;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bookworm_cache::SharedCache;
use bookworm_config::Cache as Settings;
use bookworm_http::{Next, Problem, RequestContext, auth::Caller};
use bookworm_kernel::{Clock, ErrorCode};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, header, request::Parts};
use moka::notification::RemovalCause;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::{
    answer::{
        Age, Answer, CACHE_STATUS, Form, Lifetimes, RequestInfo, Reuse, SURROGATE_KEY, add_status, directives, listed,
    },
    question::{Asked, MAX_TARGET, Question, Route},
    second_level::SecondLevel,
    single_flight::{Admission, Leader, SingleFlight},
    tags::{Marks, Tag},
};
use super::panic;

/// The longest answer that is read from a service, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// The most headers of requests that a route's answers may depend on; with more, they are not cached.
const MAX_VARY: usize = 4;
/// The longest value of such a header, in bytes.
const MAX_VARY_VALUE: usize = 256;
/// The longest key, in bytes.
const MAX_KEY: usize = MAX_TARGET + 1024;
/// How often the metrics are brought up to date.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How many fetches a request follows before it fetches alone.
const MAX_FOLLOWED: usize = 2;

/// The cache: a first level in memory, and a second one where there is one.
pub struct AnswerCache {
    enabled: bool,
    lifetimes: Lifetimes,
    /// The timeout of a fetch, whoever waits for it.
    timeout: Duration,
    clock: Arc<dyn Clock>,
    first: moka::sync::Cache<Arc<str>, Arc<Answer>>,
    second: Option<Arc<SecondLevel>>,
    marks: Marks,
    single_flight: Arc<SingleFlight>,
    /// For each route, the headers of requests that its answers depended on so far.
    varies: [RwLock<Arc<[HeaderName]>>; Route::COUNT],
}

impl AnswerCache {
    /// An empty cache. `max_fetches` bounds the fetches at once, `timeout` each of them.
    pub fn new(
        settings: &Settings,
        max_fetches: usize,
        timeout: Duration,
        second: Option<Arc<dyn SharedCache>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lifetimes = Lifetimes {
            fresh: Duration::from_secs(settings.ttl_seconds.into()),
            stale: Duration::from_secs(settings.stale_seconds.into()),
        };
        let first = moka::sync::Cache::builder()
            .max_capacity(u64::from(settings.capacity_mib) * 1024 * 1024)
            .weigher(|key: &Arc<str>, answer: &Arc<Answer>| {
                u32::try_from(key.len() + answer.size()).unwrap_or(u32::MAX)
            })
            // Our own clock decides whether an answer can be used; this only frees its memory.
            .time_to_live(lifetimes.fresh + lifetimes.stale)
            .eviction_listener(|_, _, cause| {
                let cause = match cause {
                    RemovalCause::Size => "size",
                    RemovalCause::Expired => "age",
                    RemovalCause::Explicit | RemovalCause::Replaced => return,
                };
                metrics::counter!("gateway_cache_evictions_total", "cause" => cause).increment(1);
            })
            .build();
        Self {
            enabled: settings.enabled,
            lifetimes,
            timeout,
            first,
            second: second.map(|shared| Arc::new(SecondLevel::new(shared, clock.clone()))),
            clock,
            marks: Marks::new(),
            single_flight: Arc::new(SingleFlight::new(max_fetches)),
            varies: std::array::from_fn(|_| RwLock::new(Arc::from([]))),
        }
    }

    /// Invalidates the answers fetched before now that depend on one of these.
    pub async fn invalidate(&self, event: &'static str, tags: &[Tag]) {
        metrics::counter!("gateway_cache_invalidations_total", "event" => event).increment(1);
        match &self.second {
            None => self.marks.invalidate(tags),
            Some(second) => {
                let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
                second.invalidate(&names, || self.marks.invalidate(tags)).await;
            }
        }
    }

    /// Brings the metrics up to date until `shutdown`.
    pub async fn report(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            self.first.run_pending_tasks();
            metrics::gauge!("gateway_cache_entries").set(self.first.entry_count() as f64);
            metrics::gauge!("gateway_cache_bytes").set(self.first.weighted_size() as f64);
            metrics::gauge!("gateway_cache_fetches").set(self.single_flight.fetches() as f64);
            metrics::gauge!("gateway_cache_waiting").set(self.single_flight.followers() as f64);
            tokio::select! {
                () = tokio::time::sleep(REPORT_INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn answer(self: Arc<Self>, question: Question, request: Request, next: Next) -> Response {
        let (parts, _empty) = request.into_parts();
        let form = Form::wanted(&parts.headers);
        let wish = Wish::of(&parts);
        if wish != Wish::Any {
            count("request");
            return self.fetch_alone(&question, &parts, next, wish).await;
        }
        let mut reason = "miss";
        for _ in 0..MAX_FOLLOWED {
            let Some(key) = self.key(&question, &parts.headers) else {
                return bypass("too-long", next.run(rebuilt(&question, &parts)).await);
            };
            match self.lookup(&key, &parts.headers) {
                None => {}
                Some((cached, Age::Expired)) => {
                    // Not counted as a miss: longer lifetimes would have made it a hit.
                    reason = "stale";
                    drop(cached);
                }
                Some((cached, age)) => {
                    if age == Age::Stale
                        && let Admission::Lead(leader, _) = self.single_flight.admit(&key)
                    {
                        self.fetch_for_all(leader, question, parts, next);
                    }
                    count(if age == Age::Stale { "stale" } else { "hit" });
                    return cached.reused(form, &*self.clock, None);
                }
            }
            match self.single_flight.admit(&key) {
                Admission::Lead(leader, follower) => {
                    self.fetch_for_all(leader, question, parts, next);
                    return match follower.outcome().await {
                        Some(fetched) => self.respond(&fetched, form, reason, false),
                        None => unavailable(),
                    };
                }
                Admission::Follow(follower) => {
                    let Some(fetched) = follower.outcome().await else { return unavailable() };
                    let Fetched { answer, .. } = &*fetched;
                    if answer.reuse == Reuse::Never || !answer.fits(&parts.headers) {
                        break;
                    }
                    // An answer that was being fetched when something changed is not for requests after the change.
                    // When the order is not known, fetch again.
                    if answer.failed() || self.marks.are_valid(answer.since, &answer.tags) {
                        return self.respond(&fetched, form, reason, true);
                    }
                }
                Admission::Full => return bypass("busy", next.run(rebuilt(&question, &parts)).await),
            }
        }
        count("miss");
        self.fetch_alone(&question, &parts, next, Wish::Any).await
    }

    /// The valid answer under this key for a request with these headers, from the first level.
    fn lookup(&self, key: &Arc<str>, headers: &HeaderMap) -> Option<(Arc<Answer>, Age)> {
        let cached = self.first.get(key)?;
        let age = cached.age(&*self.clock);
        (cached.fits(headers) && self.marks.are_valid(cached.since, &cached.tags)).then_some((cached, age))
    }

    /// The response from a fetch, which this request led or joined.
    fn respond(&self, fetched: &Fetched, form: Form, reason: &str, joined: bool) -> Response {
        let Fetched { answer, shared, stored } = fetched;
        count(match (shared, joined) {
            (true, _) => "shared",
            (false, true) => "joined",
            (false, false) => "miss",
        });
        if *shared {
            return answer.reused(form, &*self.clock, Some("shared"));
        }
        let stored = if *stored { "; stored" } else { "" };
        let joined = if joined { "; collapsed" } else { "" };
        answer.send(form, format_args!("bookworm; fwd={reason}{stored}{joined}"))
    }

    /// Fetches in a task of its own, so that the answer comes for the others when a client goes away.
    fn fetch_for_all(self: &Arc<Self>, leader: Leader, question: Question, parts: Parts, next: Next) {
        let cache = self.clone();
        let fetch = async move {
            // Read before the fetch: a later change may be missing from the answer.
            let since = cache.marks.now();
            let key = leader.key().clone();
            let lookup = match &cache.second {
                Some(second) => second.get(&key).await,
                None => None,
            };
            let shared = lookup.as_ref().and_then(|lookup| Answer::decode(lookup.value.as_ref()?, since));
            let shared = shared.filter(|answer| answer.fits(&parts.headers) && answer.age(&*cache.clock) == Age::Fresh);
            let (answer, shared) = match shared {
                Some(answer) => (answer, true),
                None => (cache.fetch(&question, &parts, next, since).await, false),
            };
            let answer = Arc::new(answer);
            let stored = cache.store(&question, &parts.headers, &answer);
            leader.complete(Arc::new(Fetched { answer: answer.clone(), shared, stored: stored.is_some() }));
            if let (Some(second), Some(lookup), Some(key), false) = (&cache.second, lookup, stored, shared)
                && let Some(bytes) = answer.encode()
            {
                let tags: Vec<String> = answer.tags.iter().map(ToString::to_string).collect();
                second.put(&key, bytes, &tags, lookup.tick, answer.time_left(&*cache.clock)).await;
            }
        };
        // Failures are logged with the trace of the request that led the fetch.
        match RequestContext::current() {
            Some(context) => tokio::spawn(context.scope(fetch).in_current_span()),
            None => tokio::spawn(fetch.in_current_span()),
        };
    }

    /// Fetches for this request alone, and stores the answer unless the request forbids it.
    async fn fetch_alone(&self, question: &Question, parts: &Parts, next: Next, wish: Wish) -> Response {
        let since = self.marks.now();
        let answer = Arc::new(self.fetch(question, parts, next, since).await);
        let stored = wish != Wish::NoStore && self.store(question, &parts.headers, &answer).is_some();
        let stored = if stored { "; stored" } else { "" };
        let reason = if wish == Wish::Any { "miss" } else { "request" };
        answer.send(Form::wanted(&parts.headers), format_args!("bookworm; fwd={reason}{stored}"))
    }

    /// Calls the service. Never fails: a failure is an answer.
    async fn fetch(&self, question: &Question, parts: &Parts, next: Next, since: u64) -> Answer {
        let request = RequestInfo { headers: &parts.headers, tags: &question.tags, since, at: self.clock.now() };
        let called = AssertUnwindSafe(next.run(rebuilt(question, parts))).catch_unwind();
        let response = match tokio::time::timeout(self.timeout, called).await {
            Ok(Ok(response)) => response,
            Ok(Err(payload)) => panic::answer(payload),
            Err(_) => Problem::new(ErrorCode::Timeout).into_response(),
        };
        let (parts, body) = response.into_parts();
        let (parts, body) = match axum::body::to_bytes(body, MAX_ANSWER).await {
            Ok(body) => (parts, body),
            Err(error) => {
                let (parts, body) = Problem::internal(&error).into_response().into_parts();
                (parts, axum::body::to_bytes(body, MAX_ANSWER).await.unwrap_or_default())
            }
        };
        Answer::new(parts, body, &request, self.lifetimes)
    }

    /// Stores the answer in the first level if it may be reused. Returns its key.
    fn store(&self, question: &Question, headers: &HeaderMap, answer: &Arc<Answer>) -> Option<Arc<str>> {
        if !matches!(answer.reuse, Reuse::Cached { .. }) || !self.marks.are_valid(answer.since, &answer.tags) {
            return None;
        }
        self.learn(question.route, answer)?;
        let key = self.key(question, headers)?;
        // A change right here does no harm: each lookup compares again.
        self.first.insert(key.clone(), answer.clone());
        Some(key)
    }

    /// Records which headers of requests a route's answers depend on. `None` when there are more than [`MAX_VARY`].
    fn learn(&self, route: Route, answer: &Answer) -> Option<()> {
        let varies = &self.varies[route.index()];
        let known = varies.read().unwrap_or_else(PoisonError::into_inner).clone();
        if answer.varies_on().all(|name| known.contains(name)) {
            return Some(());
        }
        let mut known = varies.write().unwrap_or_else(PoisonError::into_inner);
        let mut names = known.to_vec();
        names.extend(answer.varies_on().filter(|name| !known.contains(name)).cloned());
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        if names.len() > MAX_VARY {
            return None;
        }
        *known = names.into();
        Some(())
    }

    /// The key of a question, for a request with these headers. `None` when it would be too long.
    fn key(&self, question: &Question, headers: &HeaderMap) -> Option<Arc<str>> {
        let names = self.varies[question.route.index()].read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut key = format!("GET {}", question.target);
        for name in names.iter() {
            key.push('\n');
            key.push_str(name.as_str());
            for value in headers.get_all(name) {
                if value.len() > MAX_VARY_VALUE {
                    return None;
                }
                key.push(':');
                key.push_str(&value.as_bytes().escape_ascii().to_string());
            }
        }
        (key.len() <= MAX_KEY).then(|| key.into())
    }
}

/// The outcome of a fetch.
struct Fetched {
    answer: Arc<Answer>,
    /// Whether it came from the second level.
    shared: bool,
    /// Whether it is in the first level now.
    stored: bool,
}

/// What a request wants of the cache (RFC 9111, 5.2.1). Only that of staff is respected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Any answer.
    Any,
    /// A new answer.
    NoCache,
    /// A new answer that is not stored.
    NoStore,
}

impl Wish {
    fn of(parts: &Parts) -> Self {
        if !parts.extensions.get::<Caller>().is_some_and(Caller::is_staff) {
            return Self::Any;
        }
        let wishes = directives(&parts.headers, &header::CACHE_CONTROL);
        let has = |wanted: &str| wishes.iter().any(|(name, _)| name == wanted);
        let old = wishes.iter().any(|(name, value)| name == "max-age" && value.as_deref() == Some("0"));
        match (has("no-store"), has("no-cache") || old) {
            (true, _) => Self::NoStore,
            (_, true) => Self::NoCache,
            _ => Self::Any,
        }
    }
}

/// Answers from the cache where possible, and stores answers. Goes inside of authentication, which finds the caller.
pub async fn layer(State(cache): State<Arc<AnswerCache>>, request: Request, next: Next) -> Response {
    let asked = if cache.enabled {
        question::read(request.method(), request.uri(), request.headers())
    } else {
        Asked::Elsewhere
    };
    match asked {
        Asked::Elsewhere => {
            let mut response = next.run(request).await;
            response.headers_mut().remove(SURROGATE_KEY);
            response
        }
        Asked::Bypass(why) => bypass(why, next.run(request).await),
        Asked::Question(question) => cache.answer(question, request, next).await,
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("gateway_cache_total", "outcome" => outcome).increment(1);
}

fn bypass(why: &str, mut response: Response) -> Response {
    count("bypass");
    let headers = response.headers_mut();
    headers.remove(SURROGATE_KEY);
    let behind = listed(headers, &CACHE_STATUS);
    add_status(headers, behind.as_ref(), format_args!("bookworm; fwd=bypass; detail={why}"));
    response
}

/// The process is ending, and the fetch ended with it.
fn unavailable() -> Response {
    Problem::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(1)).into_response()
}

/// The request as the services get it: in normal form, and without conditions, for the whole answer.
fn rebuilt(question: &Question, parts: &Parts) -> Request {
    const CONDITIONS: [HeaderName; 7] = [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
        header::CACHE_CONTROL,
    ];
    let mut parts = parts.clone();
    // What is percent-encoded is a valid address.
    if let Ok(uri) = question.target.parse() {
        parts.uri = uri;
    }
    for name in &CONDITIONS {
        parts.headers.remove(name);
    }
    Request::from_parts(parts, axum::body::Body::empty())
}
