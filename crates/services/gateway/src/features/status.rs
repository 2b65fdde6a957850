//! What of the shop works, in the terms of customers: who is there, and what they were answered.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::{Request, State},
    response::{Html, IntoResponse, Response},
};
use bookworm_contracts::rest::operations::{ShopStatus, StatusPart};
use bookworm_fleet::Peers;
use bookworm_http::{Next, openapi::ProblemResponses};
use bookworm_kernel::{Clock, Timestamp};
use bookworm_loops::Loop;
use http::{StatusCode, header};
use tokio::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::health::Health;

/// From one look to the next, and how long an answer may be shown.
const EACH: Duration = Duration::from_secs(10);
const CACHED: &str = "public, max-age=10";
/// So many looks together say how many requests failed lately.
const LOOKS: usize = 12;
/// Of fewer requests nothing follows.
const ENOUGH: u64 = 5;

/// How a part of the shop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Works,
    Degraded,
    Unavailable,
}

impl How {
    const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A part of the shop as customers know it.
struct Part {
    name: &'static str,
    /// What the first part of its addresses below `/api/v1` is.
    addresses: &'static [&'static str],
    /// The roles that it needs, and how it is without one of them.
    needs: &'static [(&'static str, How)],
}

const PARTS: [Part; 8] = [
    Part {
        name: "books",
        addresses: &["books", "authors", "subjects", "publishers", "recommendations"],
        // They are shown as they were.
        needs: &[("catalog", How::Degraded)],
    },
    Part { name: "search", addresses: &["search"], needs: &[("catalog", How::Unavailable), ("ai", How::Degraded)] },
    Part { name: "basket", addresses: &["basket"], needs: &[("basket", How::Unavailable)] },
    Part {
        name: "checkout",
        addresses: &["orders", "payments", "payment-methods", "shipping-methods", "shipping-countries"],
        needs: &[
            ("ordering", How::Unavailable),
            ("finance", How::Unavailable),
            ("basket", How::Unavailable),
            ("catalog", How::Unavailable),
        ],
    },
    Part { name: "accounts", addresses: &["identity"], needs: &[("identity", How::Unavailable)] },
    Part { name: "reviews", addresses: &["reviews", "review-invitations"], needs: &[("rating", How::Unavailable)] },
    // There is the form.
    Part { name: "chat", addresses: &["chat", "conversations"], needs: &[("chat", How::Degraded)] },
    // They wait.
    Part { name: "emails", addresses: &["mail", "contact"], needs: &[("notification", How::Degraded)] },
];

/// Requests of a part since the last look, and those that failed (5xx).
#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    failed: AtomicU64,
}

/// What is known of the shop's parts. One for a gateway.
pub struct Status {
    peers: Peers,
    clock: Arc<dyn Clock>,
    counts: [Counts; PARTS.len()],
    shown: Mutex<Shown>,
}

struct Shown {
    at: Timestamp,
    /// How each part is, and since when.
    parts: [(How, Option<Timestamp>); PARTS.len()],
    /// Requests, and those that failed, of the latest looks.
    looks: std::collections::VecDeque<[(u64, u64); PARTS.len()]>,
}

impl Status {
    pub fn new(peers: Peers, clock: Arc<dyn Clock>) -> Self {
        let parts = [(How::Works, None); PARTS.len()];
        let shown = Mutex::new(Shown { at: clock.now(), parts, looks: std::collections::VecDeque::new() });
        Self { peers, clock, counts: Default::default(), shown }
    }

    /// Looks again and again. The databases of this process are a part of `health`.
    pub fn regularly(self: &Arc<Self>, health: &Health) -> Loop {
        let (status, health) = (self.clone(), health.clone());
        Loop::every("gateway.status", EACH, move || {
            let (status, health) = (status.clone(), health.clone());
            async move {
                let looks = health.looks().await;
                let down = looks.into_iter().filter(|look| look.state == "down").map(|look| look.part);
                status.look(&down.collect());
            }
        })
    }

    /// One look. `down` are databases of this process, named as their roles are.
    fn look(&self, down: &HashSet<String>) {
        let is_away = |role: &str| {
            self.peers.is_away(role) || down.contains(role) || role == "finance" && down.contains("sandbox")
        };
        let now = self.clock.now();
        let taken = std::array::from_fn(|at| {
            let Counts { all, failed } = &self.counts[at];
            (all.swap(0, Ordering::Relaxed), failed.swap(0, Ordering::Relaxed))
        });
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.looks.push_back(taken);
        if shown.looks.len() > LOOKS {
            shown.looks.pop_front();
        }
        for (at, part) in PARTS.iter().enumerate() {
            let lacks = part.needs.iter().filter(|(role, _)| is_away(role)).map(|(_, how)| *how).max();
            let sum = |of: fn(&(u64, u64)) -> u64| shown.looks.iter().map(|look| of(&look[at])).sum::<u64>();
            let how = lacks.unwrap_or(How::Works).max(answered(sum(|(all, _)| *all), sum(|(_, failed)| *failed)));
            if shown.parts[at].0 != how {
                shown.parts[at] = (how, Some(now));
            }
        }
        shown.at = now;
    }

    fn answer(&self) -> ShopStatus {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let part = |(part, (how, since)): (&Part, &(How, Option<Timestamp>))| StatusPart {
            part: part.name.to_owned(),
            state: how.name().to_owned(),
            since: *since,
        };
        ShopStatus { at: shown.at, parts: PARTS.iter().zip(&shown.parts).map(part).collect() }
    }
}

/// What follows from how requests were answered.
fn answered(all: u64, failed: u64) -> How {
    match () {
        () if all < ENOUGH => How::Works,
        () if failed * 10 >= all * 8 => How::Unavailable,
        () if failed * 10 >= all => How::Degraded,
        () => How::Works,
    }
}

/// Which part of the shop an address of the API belongs to.
fn part_of(path: &str) -> Option<usize> {
    let mut parts = path.strip_prefix(crate::API)?.split('/').skip(1);
    let first = parts.next()?;
    // The reviews of a book are not the book.
    let first = if first == "books" && parts.nth(1) == Some("reviews") { "reviews" } else { first };
    PARTS.iter().position(|part| part.addresses.contains(&first))
}

/// Counts what customers are answered.
pub async fn count(State(status): State<Arc<Status>>, request: Request, next: Next) -> Response {
    let part = part_of(request.uri().path());
    let Some(counts) = part.and_then(|part| status.counts.get(part)) else { return next.run(request).await };
    counts.all.fetch_add(1, Ordering::Relaxed);
    let waiting = Waiting { counts, since: Instant::now() };
    let response = next.run(request).await;
    // There is an answer: nobody gave up.
    std::mem::forget(waiting);
    counts.failed.fetch_add(u64::from(response.status().is_server_error()), Ordering::Relaxed);
    response
}

/// Somebody who waits for an answer. When it is dropped there is none: the time limit, or they, gave up.
struct Waiting<'a> {
    counts: &'a Counts,
    since: Instant,
}

/// Whoever leaves before that had another reason.
const GIVES_UP_AFTER: Duration = Duration::from_secs(5);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let failed = self.since.elapsed() >= GIVES_UP_AFTER;
        self.counts.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
    }
}

pub fn api(status: Arc<Status>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(read)).with_state(status)
}

/// What of the shop works.
///
/// In the terms of customers, as the gateway saw it ten seconds ago at most.
#[utoipa::path(
    get,
    path = "/status",
    tag = "operations",
    responses((status = 200, description = "Each part of the shop", body = ShopStatus), ProblemResponses)
)]
async fn read(State(status): State<Arc<Status>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, CACHED)], Json(status.answer()))
}

/// Where the page is.
const PAGE: &str = "/status";

/// The page without its frame, where whoever makes pages does not answer.
pub async fn page_without_pages(State(status): State<Arc<Status>>, request: Request, next: Next) -> Response {
    if request.uri().path() != PAGE {
        return next.run(request).await;
    }
    let response = next.run(request).await;
    if !response.status().is_server_error() {
        return response;
    }
    let parts = status.answer().parts;
    let rows: String = parts.iter().map(|part| format!("<li>{}: {}</li>", part.part, part.state)).collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Shop status</title></head><body><main><h1>Shop status</h1>\
         <p>Our pages can’t be shown right now. Nothing is lost; please try again in a few minutes.</p>\
         <ul>{rows}</ul></main></body></html>"
    );
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "60")], Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use bookworm_http::Stack;
    use bookworm_registry::{Directory, Instance, Key, Load, State as Says};
    use bookworm_testing::{NOW, clock};
    use tower::ServiceExt;

    use super::*;

    /// A shop in which all but these roles are there.
    fn without(away: &[&str]) -> Arc<Status> {
        let instance = |role: &str| Instance {
            key: Key::new(role, "a").unwrap(),
            generation: 0,
            grpc: None,
            http: None,
            version: String::new(),
            zone: String::new(),
            state: if away.contains(&role) { Says::Starting } else { Says::Ready },
            capabilities: Vec::new(),
            load: Load::default(),
        };
        let roles = ["ai", "catalog", "basket", "notification", "identity", "finance", "ordering", "rating", "chat"];
        let directory = Directory::fixed(roles.map(instance));
        Arc::new(Status::new(Peers::new(directory, [], None, None), clock()))
    }

    fn troubles(status: &Status) -> Vec<(String, String)> {
        let parts = status.answer().parts.into_iter();
        parts.filter(|part| part.state != "works").map(|part| (part.part, part.state)).collect()
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(part, state)| ((*part).to_owned(), (*state).to_owned())).collect()
    }

    #[test]
    fn a_role_that_is_away_is_said_in_the_terms_of_customers() {
        for (away, expected) in [
            (&[][..], &[][..]),
            (&["ai"], &[("search", "degraded")]),
            (&["catalog"], &[("books", "degraded"), ("search", "unavailable"), ("checkout", "unavailable")]),
            (&["chat", "notification"], &[("chat", "degraded"), ("emails", "degraded")]),
            (&["finance"], &[("checkout", "unavailable")]),
        ] {
            let status = without(away);
            assert!(status.answer().parts.iter().all(|part| part.since.is_none()));
            status.look(&HashSet::new());
            assert_eq!(troubles(&status), named(expected), "{away:?}");
            assert!(status.answer().parts.iter().all(|part| (part.state == "works") == part.since.is_none()));
        }
        let status = without(&[]);
        status.look(&HashSet::from(["identity".to_owned(), "sandbox".to_owned()]));
        assert_eq!(troubles(&status), named(&[("checkout", "unavailable"), ("accounts", "unavailable")]));
        assert_eq!(status.answer().parts[4].since, Some(NOW));
    }

    async fn ask(status: &Arc<Status>, path: &str) -> Response {
        let failing = async || StatusCode::SERVICE_UNAVAILABLE;
        let app = Router::new()
            .route("/api/v1/books/{id}/reviews", get(failing))
            .route("/api/v1/books", get(async || ()))
            .route("/status", get(failing))
            .route("/other", get(failing))
            .layer(Stack::new().with_state(status.clone(), count))
            .layer(Stack::new().with_state(status.clone(), page_without_pages));
        app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_customers_are_answered_counts_for_two_minutes() {
        let status = without(&[]);
        for _ in 0..ENOUGH {
            ask(&status, "/api/v1/books").await;
            ask(&status, "/api/v1/books/1/reviews").await;
        }
        status.look(&HashSet::new());
        assert_eq!(troubles(&status), named(&[("reviews", "unavailable")]));
        for _ in 1..LOOKS {
            status.look(&HashSet::new());
        }
        assert_eq!(troubles(&status).len(), 1);
        status.look(&HashSet::new());
        assert_eq!(troubles(&status), []);
        assert_eq!(status.answer().parts[5].since, Some(NOW), "since when it works again");
    }

    #[test]
    fn every_address_for_customers_is_of_a_part() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../../../../../docs/openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap().keys();
        let of_nobody = paths.filter(|path| part_of(&format!("{}{path}", crate::API)).is_none());
        let of_nobody =
            of_nobody.filter(|path| !path.starts_with("/admin") && !["/fleet", "/status"].contains(&path.as_str()));
        assert_eq!(of_nobody.collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_tenth_is_a_trouble_and_nearly_all_an_outage() {
        for (all, failed, how) in [
            (4, 4, How::Works),
            (100, 9, How::Works),
            (100, 10, How::Degraded),
            (10, 7, How::Degraded),
            (10, 8, How::Unavailable),
        ] {
            assert_eq!(answered(all, failed), how, "{failed} of {all}");
        }
    }

    #[tokio::test]
    async fn without_pages_there_is_a_plain_one() {
        let status = without(&["web"]);
        let page = ask(&status, "/status").await;
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(page.into_body(), 100_000).await.unwrap();
        assert!(std::str::from_utf8(&body).unwrap().contains("<li>checkout: works</li>"));
        assert!(ask(&status, "/other").await.headers().get(header::RETRY_AFTER).is_none());
    }
}
