use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, HttpBody},
};
use bookworm_cache::{Lookup, SharedCacheError, memory::MemoryCache};
use bookworm_http::auth::{AccountClaims, Role};
use bookworm_kernel::{BookId, CustomerId, ManualClock, SystemClock, Timestamp};
use bookworm_testing::eventually;
use bytes::Bytes;
use http::StatusCode;
use tokio::{sync::Semaphore, task::JoinHandle};
use tower::ServiceExt;

use super::*;

/// The services behind the cache.
struct Backend {
    calls: AtomicUsize,
    seen: Mutex<Vec<String>>,
    /// Answers wait here while [`Shop::pause`] is in force.
    gate: Semaphore,
    paused: AtomicBool,
    make: Mutex<Make>,
}

type Make = Box<dyn Fn(&Request) -> Response + Send>;

struct Shop {
    backend: Arc<Backend>,
    cache: Arc<AnswerCache>,
    clock: Arc<ManualClock>,
    router: Router,
}

#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: StatusCode,
    body: String,
    cache: String,
}

fn settings() -> Settings {
    Settings { enabled: true, capacity_mib: 1, ttl_seconds: 30, stale_seconds: 300 }
}

impl Shop {
    fn new() -> Self {
        Self::with(&settings(), 100, None)
    }

    fn with(settings: &Settings, max_fetches: usize, second: Option<Arc<dyn SharedCache>>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000)));
        let backend = Arc::new(Backend {
            calls: AtomicUsize::new(0),
            seen: Mutex::default(),
            gate: Semaphore::new(0),
            paused: AtomicBool::new(false),
            make: Mutex::new(Box::new(|_| Response::default())),
        });
        let timeout = Duration::from_secs(20);
        let cache = Arc::new(AnswerCache::new(settings, max_fetches, timeout, second, clock.clone()));
        let behind = backend.clone();
        let handler = move |request: Request| {
            let backend = behind.clone();
            async move {
                let call = backend.calls.fetch_add(1, Ordering::SeqCst) + 1;
                backend.seen.lock().unwrap().push(request.uri().to_string());
                let mut response = (backend.make.lock().unwrap())(&request);
                if backend.paused.load(Ordering::SeqCst) {
                    backend.gate.acquire().await.unwrap().forget();
                }
                let empty = response.body().size_hint().exact() == Some(0);
                if empty {
                    *response.body_mut() = Body::from(call.to_string());
                }
                response
            }
        };
        let router =
            Router::new().fallback(handler).layer(bookworm_http::Stack::new().with_state(cache.clone(), layer));
        Self { backend, cache, clock, router }
    }

    /// Every answer from now on has these headers.
    fn answers_with(&self, headers: &[(&str, &str)]) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap()))
            .collect();
        self.makes(move |_| {
            let mut response = Response::default();
            *response.headers_mut() = headers.clone();
            response
        });
    }

    fn makes(&self, make: impl Fn(&Request) -> Response + Send + 'static) {
        *self.backend.make.lock().unwrap() = Box::new(make);
    }

    /// Answers wait until they are released.
    fn pause(&self) {
        self.backend.paused.store(true, Ordering::SeqCst);
    }

    fn release(&self, how_many: usize) {
        self.backend.gate.add_permits(how_many);
    }

    fn calls(&self) -> usize {
        self.backend.calls.load(Ordering::SeqCst)
    }

    async fn called(&self, times: usize) {
        eventually("the service is called", async || self.calls() >= times).await;
    }

    fn send(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let router = self.router.clone();
        async move { router.oneshot(request).await.unwrap() }
    }

    async fn get(&self, target: &str) -> Got {
        got(self.send(get(target, &[])).await).await
    }

    async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        got(self.send(get(target, headers)).await).await
    }

    fn spawn(&self, target: &str) -> JoinHandle<Got> {
        let answer = self.send(get(target, &[]));
        tokio::spawn(async move { got(answer.await).await })
    }
}

fn get(target: &str, headers: &[(&str, &str)]) -> Request {
    let request = Request::get(format!("/api/v1{target}"));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(Body::empty()).unwrap()
}

async fn got(response: Response) -> Got {
    assert!(!response.headers().contains_key(SURROGATE_KEY), "nobody outside sees it");
    let cache = response.headers().get(CACHE_STATUS).map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Got { status, body: String::from_utf8(body.to_vec()).unwrap(), cache }
}

fn is(body: &str, cache: &str) -> Got {
    Got { status: StatusCode::OK, body: body.to_owned(), cache: cache.to_owned() }
}

const MISS: &str = "bookworm; fwd=miss; stored";

#[tokio::test]
async fn what_was_asked_before_is_not_asked_again() {
    let shop = Shop::new();
    shop.answers_with(&[("cache-status", "catalog; fwd=miss"), ("content-type", "application/json")]);
    assert_eq!(shop.get("/search?q=the+sea&limit=5").await, is("1", "catalog; fwd=miss, bookworm; fwd=miss; stored"));
    shop.clock.advance(Duration::from_secs(5));
    let again = shop.send(get("/search?limit=5&q=%20the++sea", &[])).await;
    assert_eq!(
        (&again.headers()["age"], &again.headers()["content-type"]),
        (&"5".parse().unwrap(), &"application/json".parse().unwrap())
    );
    assert_eq!(got(again).await, is("1", "catalog; fwd=miss, bookworm; hit; ttl=25"));
    assert_eq!(shop.get("/search?q=the+lake&limit=5").await.body, "2");
    assert_eq!(
        *shop.backend.seen.lock().unwrap(),
        ["/api/v1/search?limit=5&q=the+sea", "/api/v1/search?limit=5&q=the+lake"]
    );
}

#[tokio::test]
async fn what_is_not_for_everybody_goes_past() {
    let shop = Shop::new();
    for (target, why) in [("/search?q=a&explain=true", "parameter"), ("/search?mode=text&q=a", "parameter")] {
        for n in ["1", "2"] {
            let cache = format!("bookworm; fwd=bypass; detail={why}");
            assert_eq!(shop.get(target).await, is(n, &cache), "{target}");
        }
        shop.backend.calls.store(0, Ordering::SeqCst);
    }
    let signed = [("authorization", "Bearer x")];
    assert_eq!(shop.get_with("/recommendations", &signed).await, is("1", "bookworm; fwd=bypass; detail=signed-in"));
    assert_eq!(shop.get("/recommendations").await, is("2", MISS));
    assert_eq!(shop.get_with("/recommendations", &signed).await.body, "3");
    assert_eq!(shop.get("/recommendations").await.body, "2");
    shop.answers_with(&[("surrogate-key", "x"), ("cache-status", "catalog; hit")]);
    assert_eq!(shop.get("/books").await, is("4", "catalog; hit"), "no business of ours");
    let off = Shop::with(&Settings { enabled: false, ..settings() }, 100, None);
    off.answers_with(&[("surrogate-key", "x")]);
    for n in ["1", "2"] {
        assert_eq!(off.get("/search?q=a").await, is(n, ""));
    }
}

#[tokio::test]
async fn who_is_signed_in_shares_what_does_not_depend_on_them() {
    let shop = Shop::new();
    assert_eq!(shop.get_with("/search?q=a", &[("authorization", "Bearer x")]).await, is("1", MISS));
    assert_eq!(shop.get("/search?q=a").await.body, "1");
    assert_eq!(shop.get_with("/search?q=a", &[("authorization", "Bearer y")]).await.body, "1");
}

#[tokio::test]
async fn only_staff_may_ask_for_a_new_answer() {
    let shop = Shop::new();
    let ask = |role: Option<Role>, control: &str| {
        let mut request = get("/search?q=a", &[("cache-control", control)]);
        if let Some(role) = role {
            let (email, name) = ("x@example.org".to_owned(), "X".to_owned());
            let account =
                AccountClaims { id: CustomerId::new(), email, name, roles: vec![role], email_confirmed: true };
            request.extensions_mut().insert(Caller::Account(Arc::new(account)));
        }
        let answer = shop.send(request);
        async move { got(answer.await).await }
    };
    assert_eq!(ask(None, "no-cache").await, is("1", MISS));
    for control in ["no-cache", "no-store", "max-age=0"] {
        assert_eq!(ask(None, control).await, is("1", "bookworm; hit; ttl=30"), "{control}");
        assert_eq!(ask(Some(Role::Customer), control).await.body, "1", "{control}");
    }
    assert_eq!(ask(Some(Role::Staff), "max-age=600").await.body, "1");
    assert_eq!(ask(Some(Role::Staff), "no-store").await, is("2", "bookworm; fwd=request"));
    assert_eq!(ask(None, "").await.body, "1");
    assert_eq!(ask(Some(Role::Staff), "no-cache").await, is("3", "bookworm; fwd=request; stored"));
    assert_eq!(ask(None, "").await.body, "3");
    assert_eq!(ask(Some(Role::Admin), "max-age=0").await.body, "4");
}

#[tokio::test]
async fn a_stampede_asks_once() {
    let shop = Shop::new();
    shop.pause();
    let crowd: Vec<_> = (0..100).map(|_| shop.spawn("/search?q=a")).collect();
    shop.called(1).await;
    // The one who asked first goes away; whoever that was, the answer still comes for all others.
    crowd[0].abort();
    let joined = || shop.cache.single_flight.followers();
    eventually("the others wait", async || joined() >= 99).await;
    shop.release(100);
    let (mut first, mut collapsed) = (0, 0);
    for one in crowd {
        let Ok(answer) = one.await else { continue };
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "1"));
        match &*answer.cache {
            MISS => first += 1,
            "bookworm; fwd=miss; stored; collapsed" => collapsed += 1,
            other => panic!("{other}"),
        }
    }
    assert!(first <= 1 && collapsed >= 98, "{first} {collapsed}");
    assert_eq!(shop.calls(), 1);
    assert_eq!(shop.get("/search?q=a").await.body, "1");
}

#[tokio::test]
async fn an_answer_whose_clients_went_away_is_cached() {
    let shop = Shop::new();
    shop.pause();
    let only = shop.spawn("/search?q=a");
    shop.called(1).await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    shop.release(1);
    eventually("the fetch ends", async || shop.cache.single_flight.fetches() == 0).await;
    assert_eq!(shop.get("/search?q=a").await, is("1", "bookworm; hit; ttl=30"));
}

#[tokio::test]
async fn failures_go_to_all_who_wait_and_are_not_cached() {
    let shop = Shop::new();
    for (make, status) in [
        (Box::new(|_: &Request| Problem::new(ErrorCode::Unavailable).into_response()) as Make, 503),
        (Box::new(|_: &Request| panic!("boom")), 500),
        (Box::new(|_: &Request| Problem::not_found("book").into_response()), 404),
    ] {
        *shop.backend.make.lock().unwrap_or_else(PoisonError::into_inner) = make;
        shop.backend.make.clear_poison();
        let before = shop.calls();
        let waiting: Vec<_> = (0..10).map(|_| shop.spawn("/search?q=a")).collect();
        for one in waiting {
            let answer = one.await.unwrap();
            assert_eq!(answer.status.as_u16(), status, "{answer:?}");
            assert!(!answer.cache.contains("stored"), "{answer:?}");
        }
        assert!(shop.calls() > before);
        shop.backend.make.clear_poison();
    }
    let before = shop.calls();
    shop.answers_with(&[]);
    assert_eq!(shop.get("/search?q=a").await, is(&(before + 1).to_string(), MISS));
}

#[tokio::test]
async fn degraded_answers_are_shared_and_not_cached_and_private_ones_are_not_even_shared() {
    for (control, calls) in [("no-store", 1), ("private", 10)] {
        let shop = Shop::new();
        shop.answers_with(&[("cache-control", control)]);
        shop.pause();
        let waiting: Vec<_> = (0..10).map(|_| shop.spawn("/search?q=a")).collect();
        eventually("the others wait", async || shop.cache.single_flight.followers() >= 10).await;
        shop.release(100);
        for one in waiting {
            let answer = one.await.unwrap();
            assert!(answer.status.is_success() && !answer.cache.contains("stored"), "{answer:?}");
        }
        assert_eq!(shop.calls(), calls, "{control}");
        assert_eq!(shop.get("/search?q=a").await, is(&(calls + 1).to_string(), "bookworm; fwd=miss"), "{control}");
    }
}

#[tokio::test]
async fn a_stale_answer_is_given_while_one_new_one_is_fetched() {
    let shop = Shop::new();
    assert_eq!(shop.get("/search?q=a").await.body, "1");
    shop.clock.advance(Duration::from_secs(35));
    shop.pause();
    for _ in 0..5 {
        assert_eq!(shop.get("/search?q=a").await, is("1", "bookworm; hit; ttl=-5"));
    }
    shop.called(2).await;
    shop.release(100);
    eventually("the fetch ends", async || shop.cache.single_flight.fetches() == 0).await;
    assert_eq!(shop.get("/search?q=a").await, is("2", "bookworm; hit; ttl=30"));
    assert_eq!(shop.calls(), 2);
    // Too old to be given to anybody.
    shop.clock.advance(Duration::from_secs(330));
    assert_eq!(shop.get("/search?q=a").await, is("3", "bookworm; fwd=stale; stored"));
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_answer() {
    let shop = Shop::new();
    assert_eq!(shop.get("/search?q=a").await.body, "1");
    shop.clock.advance(Duration::from_secs(35));
    shop.makes(|_| Problem::new(ErrorCode::Unavailable).into_response());
    for n in 0..3 {
        assert_eq!(shop.get("/search?q=a").await.body, "1");
        eventually("the fetch ends", async || shop.calls() == 2 + n && shop.cache.single_flight.fetches() == 0).await;
    }
}

#[tokio::test]
async fn what_changed_is_never_given_again() {
    // Fixed, since two books may share a mark.
    let [one, two, other, fourth] = [1, 2, 3, 4].map(|n| BookId::from_uuid(uuid::Uuid::from_u128(n)));
    let similar = format!("/books/{other}/similar");
    let all = ["/search?q=a", "/search/suggest?q=a", "/recommendations", &similar, "/search?in_stock=true"];
    let (listings, in_stock) = ([true, true, false, false, true], [false, false, false, false, true]);
    for (changed, gone) in [
        (vec![Tag::Everything], [true; 5]),
        (vec![Tag::Book(one)], [true; 5]),
        (vec![Tag::Book(other)], [false, false, false, true, false]),
        (vec![Tag::Book(fourth), Tag::AnyBook], [false; 5]),
        (vec![Tag::Listings], listings),
        (vec![Tag::Stock], in_stock),
    ] {
        let shop = Shop::new();
        shop.answers_with(&[("surrogate-key", &format!("{one} {two}"))]);
        for target in all {
            shop.get(target).await;
        }
        // Fresh or stale makes no difference.
        shop.clock.advance(Duration::from_secs(60));
        shop.cache.invalidate("test", &changed).await;
        for (target, gone) in all.into_iter().zip(gone) {
            let answer = shop.get(target).await;
            assert_eq!(answer.cache == MISS, gone, "{changed:?} {target} {answer:?}");
        }
    }
    let shop = Shop::new();
    shop.get("/recommendations").await;
    shop.cache.invalidate("test", &[Tag::Book(one), Tag::AnyBook]).await;
    assert_eq!(shop.get("/recommendations").await.body, "2", "it did not say what it shows");
}

#[tokio::test]
async fn an_answer_fetched_during_a_change_is_not_cached_nor_given_to_later_requests() {
    let shop = Shop::new();
    shop.pause();
    let before = shop.spawn("/search?q=a");
    shop.called(1).await;
    shop.cache.invalidate("test", &[Tag::Listings]).await;
    let after = shop.spawn("/search?q=a");
    eventually("the others wait", async || shop.cache.single_flight.followers() >= 2).await;
    shop.release(1);
    assert_eq!(before.await.unwrap(), is("1", "bookworm; fwd=miss"), "they asked before the change");
    shop.called(2).await;
    shop.release(1);
    assert_eq!(after.await.unwrap(), is("2", MISS));
    assert_eq!(shop.get("/search?q=a").await.body, "2");
}

#[tokio::test]
async fn a_refresh_during_a_change_is_not_cached() {
    let shop = Shop::new();
    shop.get("/search?q=a").await;
    shop.clock.advance(Duration::from_secs(31));
    shop.pause();
    assert_eq!(shop.get("/search?q=a").await.body, "1");
    shop.called(2).await;
    shop.cache.invalidate("test", &[Tag::Listings]).await;
    shop.release(1);
    eventually("the fetch ends", async || shop.cache.single_flight.fetches() == 0).await;
    shop.release(1);
    assert_eq!(shop.get("/search?q=a").await, is("3", MISS));
}

#[tokio::test]
async fn answers_for_other_headers_are_other_answers() {
    let shop = Shop::new();
    shop.answers_with(&[("vary", "Accept-Language")]);
    shop.pause();
    // Nobody knows yet that the language matters: one waits for the other, and finds it is not for them.
    let languages = |language: &str| {
        let answer = shop.send(get("/search?q=a", &[("accept-language", language)]));
        tokio::spawn(async move { got(answer.await).await })
    };
    let german = languages("de");
    shop.called(1).await;
    let french = languages("fr");
    eventually("the others wait", async || shop.cache.single_flight.followers() >= 2).await;
    shop.release(100);
    assert_eq!((german.await.unwrap().body, french.await.unwrap().body), ("1".to_owned(), "2".to_owned()));
    let ask = |language: &'static str| {
        let shop = &shop;
        async move { shop.get_with("/search?q=a", &[("accept-language", language)]).await.body }
    };
    assert_eq!((ask("de").await, ask("fr").await, ask("de").await), ("1".into(), "2".into(), "1".into()));
    assert_eq!(ask("en").await, "3");
    shop.answers_with(&[("vary", "*")]);
    assert_eq!((shop.get("/search?q=b").await.body, shop.get("/search?q=b").await.body), ("4".into(), "5".into()));
}

#[tokio::test]
async fn memory_is_bounded() {
    let shop = Shop::new();
    shop.makes(|_| Response::new(Body::from("x".repeat(20_000))));
    for n in 0..200 {
        shop.get(&format!("/search?q={n}")).await;
    }
    shop.cache.first.run_pending_tasks();
    let (entries, bytes) = (shop.cache.first.entry_count(), shop.cache.first.weighted_size());
    assert!(bytes <= 1 << 20 && bytes > 500_000 && entries <= 52, "{entries} entries, {bytes} bytes");
    shop.makes(|_| Response::new(Body::from("x".repeat(answer::MAX_BODY + 1))));
    assert_eq!(shop.get("/search?q=long").await.cache, "bookworm; fwd=miss");
}

#[tokio::test]
async fn fetches_are_bounded() {
    let shop = Shop::with(&settings(), 1, None);
    shop.pause();
    let one = shop.spawn("/search?q=a");
    shop.called(1).await;
    let two = shop.spawn("/search?q=b");
    shop.called(2).await;
    shop.release(2);
    assert_eq!(one.await.unwrap().cache, MISS);
    assert_eq!(two.await.unwrap().cache, "bookworm; fwd=bypass; detail=busy");
}

#[tokio::test]
async fn what_the_client_has_already_does_not_matter_to_who_waits_with_it() {
    let shop = Shop::new();
    shop.makes(|request| {
        let conditional = request.headers().contains_key("if-none-match") || request.headers().contains_key("range");
        Response::builder().status(if conditional { 304 } else { 200 }).body(Body::empty()).unwrap()
    });
    assert_eq!(
        shop.get_with("/search?q=a", &[("if-none-match", "\"1\""), ("range", "bytes=0-1")]).await,
        is("1", MISS)
    );
}

/// A shared cache in memory, which can be down or slow.
struct Unreliable {
    cache: MemoryCache,
    down: AtomicBool,
    slow: AtomicBool,
    calls: AtomicUsize,
}

impl Unreliable {
    fn new() -> Self {
        Self {
            cache: MemoryCache::new(Arc::new(SystemClock), 1_000),
            down: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        }
    }

    async fn cache(&self) -> Result<&MemoryCache, SharedCacheError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(SharedCacheError::Unavailable("it is down".into()));
        }
        Ok(&self.cache)
    }
}

#[async_trait]
impl SharedCache for Unreliable {
    async fn get(&self, key: &str) -> Result<Lookup, SharedCacheError> {
        self.cache().await?.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        tags: &[String],
        tick: u64,
        ttl: Duration,
    ) -> Result<(), SharedCacheError> {
        self.cache().await?.put(key, bytes, tags, tick, ttl).await
    }

    async fn invalidate(&self, tags: &[String]) -> Result<(), SharedCacheError> {
        self.cache().await?.invalidate(tags).await
    }
}

fn two_gateways() -> (Arc<Unreliable>, Shop, Shop) {
    let shared = Arc::new(Unreliable::new());
    let gateway = || Shop::with(&settings(), 100, Some(shared.clone()));
    let (one, two) = (gateway(), gateway());
    (shared, one, two)
}

#[tokio::test]
async fn gateways_share_what_they_learn_and_what_changes() {
    let (shared, one, two) = two_gateways();
    // Each begins by invalidating everything, so both come before anything is put there.
    two.get("/search?q=z").await;
    assert_eq!(one.get("/search?q=a").await.body, "1");
    eventually("the shared cache has it", async || shared.cache.len() == 2).await;
    one.clock.advance(Duration::from_secs(3));
    two.clock.advance(Duration::from_secs(3));
    assert_eq!(two.get("/search?q=a").await, is("1", "bookworm; hit; ttl=27; detail=shared"));
    assert_eq!(two.get("/search?q=a").await, is("1", "bookworm; hit; ttl=27"), "now in its own first level");
    for gateway in [&one, &two] {
        gateway.cache.invalidate("test", &[Tag::Listings]).await;
    }
    assert_eq!(two.get("/search?q=a").await, is("2", MISS));
    assert_eq!((one.calls(), two.calls()), (1, 2));
}

#[tokio::test]
async fn a_second_level_that_is_down_or_slow_is_felt_by_nobody() {
    for slow in [false, true] {
        let (shared, shop, _) = two_gateways();
        if slow { &shared.slow } else { &shared.down }.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        for n in 1..=20 {
            assert_eq!(shop.get(&format!("/search?q={n}")).await, is(&n.to_string(), MISS));
        }
        shop.cache.invalidate("test", &[Tag::Listings]).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(shared.calls.load(Ordering::SeqCst), 1, "then it is not called");
        // It recovers by itself.
        shared.slow.store(false, Ordering::SeqCst);
        shared.down.store(false, Ordering::SeqCst);
        shop.clock.advance(Duration::from_secs(2));
        shop.get("/search?q=b").await;
        eventually("the shared cache has it", async || !shared.cache.is_empty()).await;
    }
}

#[tokio::test]
async fn after_a_missed_invalidation_nothing_from_before_is_used() {
    let (shared, one, two) = two_gateways();
    two.get("/search?q=z").await;
    one.get("/search?q=a").await;
    eventually("the shared cache has it", async || shared.cache.len() == 2).await;
    shared.down.store(true, Ordering::SeqCst);
    two.cache.invalidate("test", &[Tag::Listings]).await;
    shared.down.store(false, Ordering::SeqCst);
    assert_eq!(two.get("/search?q=a").await, is("2", MISS), "not called for a second");
    two.clock.advance(Duration::from_secs(2));
    two.cache.first.invalidate_all();
    assert_eq!(two.get("/search?q=a").await, is("3", MISS), "what it had was invalidated");
}

#[tokio::test]
async fn what_the_second_level_was_given_by_another_release_is_a_miss() {
    let (shared, shop, _) = two_gateways();
    shop.get("/search?q=z").await;
    eventually("the shared cache has it", async || shared.cache.len() == 1).await;
    let tick = shared.get("").await.unwrap().tick;
    let long = Duration::from_secs(60);
    shared.put("GET /api/v1/search?q=a", Bytes::from_static(b"\xff{}"), &[], tick, long).await.unwrap();
    assert_eq!(shop.get("/search?q=a").await, is("2", MISS));
}
