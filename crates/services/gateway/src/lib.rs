//! The entry point of the shop. Everything from outside comes through here, and only here: routing, correlation,
//! authentication, limits, security headers, and one form of errors.
//!
//! From the outside in, a request meets: correlation and log ([`bookworm_http::context`]), security headers, CORS,
//! compression, protection from panics, the check that it is unambiguous, the client's true address, the limit on
//! requests at once, rate limits, the time limit, the size limit; for the API then authentication and the cache of
//! answers; and at last the service's own route.
//!
//! | to change | open |
//! |---|---|
//! | one layer, or one page of the gateway's own | `features/<name>.rs` |
//! | which answers the gateway caches, and for how long | `features/cache/` |
//! | which answers browsers and proxies may cache | `features/cache_control.rs` |
//! | which messages invalidate answers | `reactions/` |
//! | what is passed on to roles in other processes | `features/elsewhere.rs` |

pub mod diagram;
mod features;
mod reactions;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
};
use bookworm_cache::SharedCache;
use bookworm_config::Gateway as Settings;
use bookworm_fleet::Gate;
use bookworm_http::{LargestBody, Next, Stack, auth::TokenVerifier, context, fallback};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, SharedBus};
use bookworm_resilience::SharedLimits;
use tower_http::compression::{
    CompressionLayer, Predicate,
    predicate::{DefaultPredicate, NotForContentType},
};
use utoipa_axum::router::OpenApiRouter;

use crate::features::{
    api_document, authenticate, cache, cache_control, client_address, cors, dead_letters, fleet, load, metrics, panic,
    rate_limit, security, status, traces, well_formed,
};
pub use crate::features::{
    elsewhere,
    fleet::KnownFleet,
    health::{Check, Health, Looked, Note},
    metrics::Metrics,
    traces::KnownTraces,
};

/// The prefix of the public API.
pub const API: &str = "/api/v1";

/// What the gateway needs.
pub struct Dependencies {
    /// Its limits, and what it caches.
    pub settings: Settings,
    /// Checks access tokens.
    pub verifier: Arc<TokenVerifier>,
    /// Whose dead letters staff see.
    pub bus: SharedBus,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The cache that gateways share, if there is one. Without it each has its own memory alone.
    pub shared_cache: Option<Arc<dyn SharedCache>>,
    /// The processes that staff see.
    pub fleet: KnownFleet,
    /// Where the shop's recent traces are.
    pub traces: KnownTraces,
    /// The limits that gateways share, if there are any. Without them each counts by itself.
    pub shared_limits: Option<Arc<dyn SharedLimits>>,
}

/// The gateway role. Cheap to clone.
#[derive(Clone)]
pub struct GatewayService(Arc<Gateway>);

struct Gateway {
    settings: Settings,
    verifier: Arc<TokenVerifier>,
    bus: SharedBus,
    limiter: Arc<rate_limit::Limiter>,
    cache: Arc<cache::AnswerCache>,
    /// A part of the cache's memory for outages; `None` where nothing is cached.
    last_good: Option<Arc<cache::last_good::LastGood>>,
    fleet: KnownFleet,
    traces: KnownTraces,
    status: Arc<status::Status>,
}

/// What the gateway serves beside the API.
pub struct Backends {
    /// Pages; also the fallback for every address without a route.
    pub pages: Option<Router>,
    /// Routes outside `/api/v1` and the pages: published keys, the sandbox's challenge pages.
    pub others: Router,
    /// The health of the shop's parts.
    pub health: Health,
    /// The metrics of this process; `None` where operators have a listener of their own.
    pub metrics: Option<Metrics>,
    /// Whether customers reach the shop by TLS.
    pub https: bool,
}

impl GatewayService {
    /// The role's name.
    pub const NAME: &str = "gateway";

    /// Wires it up.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { settings, verifier, bus, clock, shared_cache, shared_limits, fleet, traces } = dependencies;
        let status = Arc::new(status::Status::new(traces.peers.clone(), clock.clone()));
        let limiter = Arc::new(rate_limit::Limiter::new(&settings.rate_limit, shared_limits));
        let timeout = Duration::from_secs(settings.request_timeout_seconds);
        let fetches = settings.concurrency as usize;
        let spare = u64::from(settings.cache.capacity_mib) * 1024 * 1024 / 4;
        let last_good = || Arc::new(cache::last_good::LastGood::new(spare, clock.clone()));
        let last_good = settings.cache.enabled.then(last_good);
        let cache = Arc::new(cache::AnswerCache::new(&settings.cache, fetches, timeout, shared_cache, clock));
        Self(Arc::new(Gateway { settings, verifier, bus, limiter, cache, last_good, fleet, traces, status }))
    }

    /// The whole API of these services, from `/api/v1` on, with its document: what the pages call, and what
    /// [`front`](Self::front) serves to everybody.
    pub fn api(&self, services: OpenApiRouter, health: &Health) -> Router {
        let gateway = &*self.0;
        let ours = dead_letters::api(gateway.bus.clone())
            .merge(health.clone().api())
            .merge(fleet::api(gateway.fleet.clone()))
            .merge(traces::api(gateway.traces.clone()))
            .merge(status::api(gateway.status.clone()));
        let (services, document) = services.merge(ours).split_for_parts();
        let routes = services.merge(api_document::routes(document));
        let stack = Stack::new()
            .with(context::called)
            .with(cache_control::layer)
            .with_state(gateway.status.clone(), status::count);
        let stack = asked(stack, &gateway.settings, &gateway.verifier);
        let stack = match &gateway.last_good {
            Some(last) => stack.with_state(last.clone(), cache::last_good::layer),
            None => stack,
        };
        let stack = stack.with_state(gateway.cache.clone(), cache::layer);
        Router::new().nest(API, fallback::install(routes)).layer(stack)
    }

    /// The router to listen with.
    pub fn front(&self, api: Router, backends: Backends) -> Router {
        let Gateway { settings, verifier, limiter, traces, status, .. } = &*self.0;
        let Backends { pages, others, health, metrics, https } = backends;
        let metrics = metrics.map(|metrics| {
            let operators = Stack::new().with_state(metrics.clone(), metrics::operators_only);
            metrics.routes().merge(traces::for_operators(traces.clone()).route_layer(operators))
        });
        let metrics = metrics.unwrap_or_default();
        let outside = others.merge(health.routes()).merge(metrics).merge(api_document::pages());
        let router = Router::new().merge(api).merge(outside);
        let router = match pages {
            // The API's own fallback answers below its prefix; every other unknown address is a page.
            Some(pages) => {
                let plain = Stack::new().with_state(status.clone(), status::page_without_pages);
                router.merge(pages.layer(plain))
            }
            None => fallback::install(router),
        };
        let slots = load::Slots::new(settings.concurrency as usize, settings.rate_limit.enabled);
        let compress = DefaultPredicate::new().and(NotForContentType::const_new("text/event-stream"));
        let time_limit = Duration::from_secs(settings.request_timeout_seconds);
        router
            .layer(
                Stack::new()
                    .with(panic::layer)
                    .with(well_formed::layer)
                    .with_state(settings.trust_forwarded_for, client_address::layer)
                    .with_state(slots, load::shed)
                    .with_extension(verifier.clone())
                    .with_state(limiter.clone(), rate_limit::layer)
                    .with_state(time_limit, load::time_limit),
            )
            .layer(CompressionLayer::new().compress_when(compress))
            .layer(cors::layer(&settings.cors))
            .layer(Stack::new().with(context::layer).with_state(https, security::layer))
    }

    /// Its consumer of messages that invalidate answers.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![reactions::consumer(&self.0.cache)]
    }

    /// Its background loops: frees the counters of idle clients, reports the cache's metrics, and looks what of the shop works.
    #[must_use]
    pub fn loops(&self, health: &Health) -> Vec<Loop> {
        let Gateway { cache, limiter, status, .. } = &*self.0;
        let cache = cache.clone();
        vec![
            rate_limit::tidy(limiter.clone()),
            Loop::new("gateway.cache", move |stop| cache.clone().report(stop)),
            status.regularly(health),
        ]
    }
}

/// The API of these services alone, for a process without a gateway: other processes of the shop call it. It answers no
/// address but theirs.
pub fn services_api(services: OpenApiRouter, settings: &Settings, verifier: &Arc<TokenVerifier>) -> Router {
    let (routes, _) = services.split_for_parts();
    let routes = routes.method_not_allowed_fallback(fallback::method_not_allowed);
    Router::new().nest(API, routes).layer(asked(Stack::new(), settings, verifier))
}

/// Whoever asks the API has a good token or none, and sends no more than it takes.
fn asked(stack: Stack, settings: &Settings, verifier: &Arc<TokenVerifier>) -> Stack {
    let largest = settings.body_limit_kib as usize * 1024;
    let limited = move |mut request: Request, next: Next| {
        DefaultBodyLimit::max(largest).apply(&mut request);
        next.run(request)
    };
    stack.with_extension(LargestBody(largest)).with(limited).with_extension(verifier.clone()).with(authenticate::layer)
}

/// What a process answers on its internal listener, whatever roles it has. `gate` stands before everything.
pub fn internal(routes: Router, verifier: &Arc<TokenVerifier>, gate: Arc<Gate>) -> Router {
    routes.merge(traces::of_process()).layer(
        Stack::new()
            .with(context::layer)
            .with_state(gate, bookworm_fleet::gate)
            .with(panic::layer)
            .with_extension(verifier.clone()),
    )
}

/// What a process answers on its operations listener.
pub fn operations(health: Health, metrics: Metrics, known: KnownTraces) -> Router {
    fallback::install(health.operations().merge(metrics.operations()).merge(traces::for_operators(known)))
        .layer(Stack::new().with(context::layer).with(panic::layer))
}
