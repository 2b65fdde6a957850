//! The one door of the shop. Everything from outside comes through here, and only here: routing, correlation,
//! authentication, limits, security headers, and one way to say no.
//!
//! From the outside in, a request meets: correlation and log ([`bookworm_http::context`]), security headers, CORS,
//! compression, protection from panics, what a request must be to mean one thing only, the client's true address, the
//! limit on requests at once, rate limits, the time limit, the size limit; for the API then authentication and the cache of answers; and at last the service's own
//! route.

mod features;

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, extract::DefaultBodyLimit, middleware};
use bookworm_config::Gateway;
use bookworm_http::{LargestBody, auth::TokenVerifier, context, fallback};
use bookworm_kernel::Clock;
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, SharedBus};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::features::{
    api_document, authenticate, cache, caching, client_address, cors, dead_letters, load, panic, rate_limit, security,
    well_formed,
};
pub use crate::features::{
    cache::shared::{Found, SharedCache, SharedCacheError},
    health::{Check, Health, Note},
    metrics::Metrics,
};

/// The prefix of the public API.
pub const API: &str = "/api/v1";

/// The gateway role.
#[derive(Clone)]
pub struct GatewayService {
    settings: Arc<Gateway>,
    verifier: Arc<TokenVerifier>,
    bus: SharedBus,
    limiter: Arc<rate_limit::Limiter>,
    cache: Arc<cache::AnswerCache>,
}

/// What stands behind the door beside the API.
pub struct Backends {
    /// Pages; also answers every address that nothing else does.
    pub pages: Option<Router>,
    /// Routes outside `/api/v1` and the pages: published keys, the sandbox's challenge pages.
    pub others: Router,
    /// How the shop's parts are.
    pub health: Health,
    /// What has been counted.
    pub metrics: Metrics,
    /// Whether customers reach the shop by TLS.
    pub https: bool,
}

impl GatewayService {
    /// The role's name.
    pub const NAME: &str = "gateway";

    /// A gateway that trusts the tokens that `verifier` does. It keeps answers in memory, and in `shared` as well when
    /// there is one; the shop needs none.
    #[must_use]
    pub fn new(
        settings: Gateway,
        verifier: Arc<TokenVerifier>,
        bus: SharedBus,
        clock: Arc<dyn Clock>,
        shared: Option<Arc<dyn SharedCache>>,
    ) -> Self {
        let limiter = Arc::new(rate_limit::Limiter::new(&settings.rate_limit));
        let timeout = Duration::from_secs(settings.request_timeout_seconds);
        let cache = cache::AnswerCache::new(&settings.cache, settings.concurrency as usize, timeout, shared, clock);
        Self { settings: Arc::new(settings), verifier, bus, limiter, cache: Arc::new(cache) }
    }

    /// The whole API of these services, from `/api/v1` on, with its document: what the pages call, and what
    /// [`front`](Self::front) puts behind the door.
    pub fn api(&self, services: OpenApiRouter, health: &Health) -> Router {
        let ours = dead_letters::api(self.bus.clone()).merge(health.clone().api());
        let (services, document) = services.merge(ours).split_for_parts();
        let routes = services.merge(api_document::routes(document));
        let largest = self.settings.body_limit_kib as usize * 1024;
        Router::new()
            .nest(API, fallback::install(routes))
            .layer(middleware::from_fn_with_state(self.cache.clone(), cache::layer))
            .layer(middleware::from_fn(authenticate::layer))
            .layer(Extension(self.verifier.clone()))
            .layer(middleware::from_fn(caching::layer))
            .layer(DefaultBodyLimit::max(largest))
            .layer(Extension(LargestBody(largest)))
    }

    /// The router to listen with.
    pub fn front(&self, api: Router, backends: Backends) -> Router {
        let Backends { pages, others, health, metrics, https } = backends;
        let outside = others.merge(health.routes()).merge(metrics.routes()).merge(api_document::pages());
        let router = Router::new().merge(api).merge(outside);
        let router = match pages {
            // The API's own fallback answers below its prefix; every other unknown address is a page.
            Some(pages) => router.merge(pages),
            None => fallback::install(router),
        };
        let slots = load::Slots::new(self.settings.concurrency as usize, self.settings.rate_limit.enabled);
        let compress = DefaultPredicate::new().and(NotForContentType::const_new("text/event-stream"));
        let time_limit = Duration::from_secs(self.settings.request_timeout_seconds);
        router
            .layer(middleware::from_fn_with_state(time_limit, load::time_limit))
            .layer(middleware::from_fn_with_state(self.limiter.clone(), rate_limit::layer))
            .layer(Extension(self.verifier.clone()))
            .layer(middleware::from_fn_with_state(slots, load::shed))
            .layer(middleware::from_fn_with_state(self.settings.trust_forwarded_for, client_address::layer))
            .layer(middleware::from_fn(well_formed::layer))
            .layer(CatchPanicLayer::custom(panic::answer))
            .layer(CompressionLayer::new().compress_when(compress))
            .layer(cors::layer(&self.settings.cors))
            .layer(middleware::from_fn_with_state(https, security::layer))
            .layer(middleware::from_fn(context::layer))
    }

    /// What it wants to hear, so that no answer outlives what it tells.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        vec![cache::reactions::consumer(&self.cache)]
    }

    /// What runs beside the requests: forgets clients that have not come for a while, and keeps the cache's figures.
    #[must_use]
    pub fn loops(&self) -> Vec<Loop> {
        let cache = self.cache.clone();
        vec![rate_limit::tidy(self.limiter.clone()), Loop::new("gateway.cache", move |stop| cache.clone().tend(stop))]
    }
}
