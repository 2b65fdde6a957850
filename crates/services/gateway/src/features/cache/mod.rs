//! Answers that everybody gets are kept for a while, since most of what a shop is asked was asked a moment ago.
//!
//! | part | what it knows |
//! |---|---|
//! | [`question`] | which requests have an answer worth keeping, and when two ask for the same |
//! | [`answer`] | what a service allows to be done with its answer (RFC 9111, 5861), and how it is sent again (RFC 9211) |
//! | [`tags`] | what an answer depends on, and whether that has changed since |
//! | [`flights`] | what is being asked now, so that it is asked once |
//! | [`shared`] | a second level outside the process |
//! | [`reactions`] | the catalogue's messages |
//!
//! A change is known here when its message has arrived. From then on, nobody who asks gets an answer that was fetched
//! before and depends on it: neither fresh nor stale, neither from memory nor from a flight under way.
//!
//! `Cache-Control` of a request is heeded for staff alone (RFC 9111 lets a cache choose): a stranger who could pass the
//! cache by would have the services do the work that it saves.

pub mod answer;
mod flights;
mod question;
pub mod reactions;
pub mod shared;
mod tags;
#[cfg(test)]
mod tests;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bookworm_config::Cache as Settings;
use bookworm_http::{Problem, RequestContext, auth::Caller};
use bookworm_kernel::{Clock, ErrorCode};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, header, request::Parts};
use moka::notification::RemovalCause;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::{
    answer::{Age, Answer, CACHE_STATUS, Form, Lifetimes, Put, Reuse, SURROGATE_KEY, add_status, directives, listed},
    flights::{Boarding, Flights, Ticket},
    question::{Asked, MAX_TARGET, Question, Route},
    shared::{SecondLevel, SharedCache},
    tags::{Marks, Tag},
};
use super::panic;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// The most headers of requests that a route's answers may depend on; any more, and its answers are not kept.
const MAX_VARY: usize = 4;
/// The longest value of such a header, in bytes.
const MAX_VARY_VALUE: usize = 256;
/// The longest key, in bytes.
const MAX_KEY: usize = MAX_TARGET + 1024;
/// How often the figures are brought up to date.
const TEND: Duration = Duration::from_secs(5);
/// How often somebody waits for another's answer before asking alone.
const WAITS: usize = 2;

/// The cache.
pub struct AnswerCache {
    enabled: bool,
    lifetimes: Lifetimes,
    /// How long a service may take, whoever waits.
    patience: Duration,
    clock: Arc<dyn Clock>,
    first: moka::sync::Cache<Arc<str>, Arc<Answer>>,
    second: Option<Arc<SecondLevel>>,
    marks: Marks,
    flights: Arc<Flights>,
    /// For each route, the headers of requests that its answers were seen to depend on.
    varies: [RwLock<Arc<[HeaderName]>>; Route::COUNT],
}

impl AnswerCache {
    /// An empty cache. `most_flights` bounds what is asked at once, `patience` how long for.
    pub fn new(
        settings: &Settings,
        most_flights: usize,
        patience: Duration,
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
            // Whether an answer is of use is decided by our own clock; this only gives its memory back.
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
            patience,
            first,
            second: second.map(|shared| Arc::new(SecondLevel::new(shared, clock.clone()))),
            clock,
            marks: Marks::new(),
            flights: Arc::new(Flights::new(most_flights)),
            varies: std::array::from_fn(|_| RwLock::new(Arc::from([]))),
        }
    }

    /// No answer holds any more that was asked for before now and depends on one of these.
    async fn changed(&self, event: &'static str, tags: &[Tag]) {
        metrics::counter!("gateway_cache_invalidations_total", "event" => event).increment(1);
        match &self.second {
            None => self.marks.raise(tags),
            Some(second) => {
                let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
                second.invalidate(&names, || self.marks.raise(tags)).await;
            }
        }
    }

    /// Keeps the figures up to date until `shutdown`.
    pub async fn tend(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            self.first.run_pending_tasks();
            metrics::gauge!("gateway_cache_entries").set(self.first.entry_count() as f64);
            metrics::gauge!("gateway_cache_bytes").set(self.first.weighted_size() as f64);
            metrics::gauge!("gateway_cache_flights").set(self.flights.count() as f64);
            metrics::gauge!("gateway_cache_waiting").set(self.flights.waiting() as f64);
            tokio::select! {
                () = tokio::time::sleep(TEND) => {}
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
            return self.ask_alone(&question, &parts, next, wish).await;
        }
        let mut reason = "miss";
        for _ in 0..WAITS {
            let Some(key) = self.key(&question, &parts.headers) else {
                return bypass("too-long", next.run(rebuilt(&question, &parts)).await);
            };
            match self.kept(&key, &parts.headers) {
                None => {}
                Some((kept, Age::Expired)) => {
                    // Told apart from a miss: longer lifetimes would have made it a hit.
                    reason = "stale";
                    drop(kept);
                }
                Some((kept, age)) => {
                    if age == Age::Stale
                        && let Boarding::Lead(ticket, _) = self.flights.board(&key)
                    {
                        self.fly(ticket, question, parts, next);
                    }
                    count(if age == Age::Stale { "stale" } else { "hit" });
                    return kept.reused(form, &*self.clock, None);
                }
            }
            match self.flights.board(&key) {
                Boarding::Lead(ticket, wait) => {
                    self.fly(ticket, question, parts, next);
                    return match wait.arrival().await {
                        Some(landed) => self.landed(&landed, form, reason, false),
                        None => unavailable(),
                    };
                }
                Boarding::Join(wait) => {
                    let Some(landed) = wait.arrival().await else { return unavailable() };
                    let Landed { answer, .. } = &*landed;
                    if answer.reuse == Reuse::Never || !answer.fits(&parts.headers) {
                        break;
                    }
                    // What was under way when something changed is not for who asked after the change. When in doubt
                    // about which came first, ask again.
                    if answer.failed() || self.marks.hold(answer.since, &answer.tags) {
                        return self.landed(&landed, form, reason, true);
                    }
                }
                Boarding::Full => return bypass("busy", next.run(rebuilt(&question, &parts)).await),
            }
        }
        count("miss");
        self.ask_alone(&question, &parts, next, Wish::Any).await
    }

    /// What is kept under this key for a request with these headers and holds still.
    fn kept(&self, key: &Arc<str>, headers: &HeaderMap) -> Option<(Arc<Answer>, Age)> {
        let kept = self.first.get(key)?;
        let age = kept.age(&*self.clock);
        (kept.fits(headers) && self.marks.hold(kept.since, &kept.tags)).then_some((kept, age))
    }

    /// The answer that a flight brought.
    fn landed(&self, landed: &Landed, form: Form, reason: &str, joined: bool) -> Response {
        let Landed { answer, shared, stored } = landed;
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

    /// Asks in a task of its own, so that who waits may go away and the answer still comes.
    fn fly(self: &Arc<Self>, ticket: Ticket, question: Question, parts: Parts, next: Next) {
        let cache = self.clone();
        let flight = async move {
            // Before anything is asked: a change from here on may have come too late for the answer.
            let since = cache.marks.now();
            let key = ticket.key().clone();
            let found = match &cache.second {
                Some(second) => second.get(&key).await,
                None => None,
            };
            let shared = found.as_ref().and_then(|found| Answer::decode(found.value.as_ref()?, since));
            let shared = shared.filter(|answer| answer.fits(&parts.headers) && answer.age(&*cache.clock) == Age::Fresh);
            let (answer, shared) = match shared {
                Some(answer) => (answer, true),
                None => (cache.ask(&question, &parts, next, since).await, false),
            };
            let answer = Arc::new(answer);
            let stored = cache.keep(&question, &parts.headers, &answer);
            ticket.land(Arc::new(Landed { answer: answer.clone(), shared, stored: stored.is_some() }));
            if let (Some(second), Some(found), Some(key), false) = (&cache.second, found, stored, shared)
                && let Some(bytes) = answer.encode()
            {
                let tags: Vec<String> = answer.tags.iter().map(ToString::to_string).collect();
                second.put(&key, bytes, &tags, found.tick, answer.left(&*cache.clock)).await;
            }
        };
        // Failures name the trace of who asked first: there the log tells more.
        match RequestContext::current() {
            Some(context) => tokio::spawn(context.scope(flight).in_current_span()),
            None => tokio::spawn(flight.in_current_span()),
        };
    }

    /// Asks for this request alone, and keeps the answer unless it is not wished.
    async fn ask_alone(&self, question: &Question, parts: &Parts, next: Next, wish: Wish) -> Response {
        let since = self.marks.now();
        let answer = Arc::new(self.ask(question, parts, next, since).await);
        let stored = wish != Wish::NoStore && self.keep(question, &parts.headers, &answer).is_some();
        let stored = if stored { "; stored" } else { "" };
        let reason = if wish == Wish::Any { "miss" } else { "request" };
        answer.send(Form::wanted(&parts.headers), format_args!("bookworm; fwd={reason}{stored}"))
    }

    /// Asks the service. Never fails: a failure is an answer.
    async fn ask(&self, question: &Question, parts: &Parts, next: Next, since: u64) -> Answer {
        let put = Put { headers: &parts.headers, tags: &question.tags, since, at: self.clock.now() };
        let asked = AssertUnwindSafe(next.run(rebuilt(question, parts))).catch_unwind();
        let response = match tokio::time::timeout(self.patience, asked).await {
            Ok(Ok(response)) => response,
            Ok(Err(said)) => panic::answer(said),
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
        Answer::new(parts, body, &put, self.lifetimes)
    }

    /// Keeps the answer if it may be; the key it is under.
    fn keep(&self, question: &Question, headers: &HeaderMap, answer: &Arc<Answer>) -> Option<Arc<str>> {
        if !matches!(answer.reuse, Reuse::Keep { .. }) || !self.marks.hold(answer.since, &answer.tags) {
            return None;
        }
        self.learn(question.route, answer)?;
        let key = self.key(question, headers)?;
        // A change right here is no harm: who looks compares again.
        self.first.insert(key.clone(), answer.clone());
        Some(key)
    }

    /// Remembers which headers of requests a route's answers depend on. `None` when they are too many.
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

/// What a flight brings.
struct Landed {
    answer: Arc<Answer>,
    /// Whether the second level had it.
    shared: bool,
    /// Whether it is kept now.
    stored: bool,
}

/// What who asks wants of the cache (RFC 9111, 5.2.1). Only staff are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Whatever it has.
    Any,
    /// A new answer.
    NoCache,
    /// A new answer, and not to keep it.
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

/// Answers from the cache where it may, and keeps what it may. Goes inside of authentication, which says who asks.
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

/// The process is ending, and the flight ended with it.
fn unavailable() -> Response {
    Problem::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(1)).into_response()
}

/// The request as the services get it: in normal form, and for the whole answer whatever the caller has already.
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
