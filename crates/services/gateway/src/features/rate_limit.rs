//! Limits how often a client and an account may ask.
//!
//! The generic cell rate algorithm, through `governor`, for each client address and for each account. The answer says
//! how much is left (`RateLimit`, `RateLimit-Policy`: draft-ietf-httpapi-ratelimit-headers).
//!
//! Gateways that share limits ask them after their own, so that what one refuses by itself is not counted for the others.
//! While they do not answer, each gateway has its own limits alone.

use std::{error::Error, hash::Hash, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    response::{IntoResponse, Response},
};
use bookworm_config::RateLimit;
use bookworm_http::{Next, Problem, auth::Caller, places::network};
use bookworm_kernel::{CustomerId, ErrorCode};
use bookworm_loops::Loop;
use bookworm_resilience::{Rate, SharedLimits, Taken};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use http::{HeaderName, HeaderValue};

use super::{client_address::Client, load::LONG};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// Paths below these are cached by the browser, or polled by the machine's own monitors.
const FREE: [&str; 2] = ["/assets/", "/health/"];
/// By the dozen on each page, and cached by the browser.
const COVERS: &str = "/covers/";
/// How often the counters of idle clients are freed.
const TIDY: Duration = Duration::from_secs(60);

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

pub struct Limiter {
    enabled: bool,
    clients: Keyed<IpAddr>,
    accounts: Keyed<CustomerId>,
    /// Requests of hubs' connections. Over long polling each message takes a request, which should not use up the limit
    /// of the shop's pages.
    hubs: Keyed<IpAddr>,
    covers: Keyed<IpAddr>,
    per_client: Policy,
    per_account: Policy,
    per_hub_client: Policy,
    covers_per_client: Policy,
    shared: Option<Arc<dyn SharedLimits>>,
}

/// One of the limits.
#[derive(Clone, Copy)]
struct Policy {
    name: &'static str,
    rate: Rate,
}

impl Policy {
    fn new(name: &'static str, per_minute: u32, burst: u32) -> Self {
        // The configuration refuses zeros.
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { name, rate: Rate { per_minute: at_least_one(per_minute), burst: at_least_one(burst) } }
    }

    fn limiter<K: Hash + Eq + Clone>(self) -> Keyed<K> {
        let quota = Quota::per_minute(self.rate.per_minute).allow_burst(self.rate.burst);
        RateLimiter::keyed(quota).with_middleware()
    }
}

impl Limiter {
    pub fn new(settings: &RateLimit, shared: Option<Arc<dyn SharedLimits>>) -> Self {
        let (hubs, covers) = (settings.hubs_per_client_per_minute, settings.covers_per_client_per_minute);
        let per_client = Policy::new("client", settings.per_client_per_minute, settings.burst);
        let per_account = Policy::new("account", settings.per_account_per_minute, settings.burst);
        let per_hub_client = Policy::new("hubs", hubs, hubs);
        let covers_per_client = Policy::new("covers", covers, covers);
        Self {
            enabled: settings.enabled,
            clients: per_client.limiter(),
            accounts: per_account.limiter(),
            hubs: per_hub_client.limiter(),
            covers: covers_per_client.limiter(),
            per_client,
            per_account,
            per_hub_client,
            covers_per_client,
            shared,
        }
    }

    async fn check_hub(&self, client: IpAddr) -> Result<Left, Refused> {
        let client = network(client);
        let left = take(&self.hubs, &client, self.per_hub_client)?;
        self.share(left, &[(self.per_hub_client, client.to_string())]).await
    }

    async fn check_cover(&self, client: IpAddr) -> Result<Left, Refused> {
        let client = network(client);
        let left = take(&self.covers, &client, self.covers_per_client)?;
        self.share(left, &[(self.covers_per_client, client.to_string())]).await
    }

    async fn check(&self, client: IpAddr, account: Option<CustomerId>) -> Result<Left, Refused> {
        let client = network(client);
        let mut left = take(&self.clients, &client, self.per_client)?;
        let mut all = vec![(self.per_client, client.to_string())];
        if let Some(account) = account {
            left = take(&self.accounts, &account, self.per_account)?;
            all.push((self.per_account, account.to_string()));
        }
        self.share(left, &all).await
    }

    /// Counts what this gateway has granted against the limits that gateways share.
    async fn share(&self, left: Left, all: &[(Policy, String)]) -> Result<Left, Refused> {
        let Some(shared) = &self.shared else { return Ok(left) };
        let limits: Vec<_> = all.iter().map(|(policy, key)| (format!("{}:{key}", policy.name), policy.rate)).collect();
        match shared.take(&limits).await {
            Ok(Taken::Granted { left: remaining }) => Ok(Left { remaining: remaining.min(left.remaining), ..left }),
            Ok(Taken::Refused { limit, wait }) => {
                let policy = all.get(limit).map_or(left.policy, |(policy, _)| *policy);
                Err(Refused { left: Left { policy, remaining: 0 }, wait })
            }
            Err(error) => {
                metrics::counter!("gateway_rate_limits_unshared_total").increment(1);
                tracing::debug!(error = &error as &dyn Error, "this gateway's own limits are all there is");
                Ok(left)
            }
        }
    }
}

struct Left {
    policy: Policy,
    remaining: u32,
}

struct Refused {
    left: Left,
    wait: Duration,
}

fn take<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K, policy: Policy) -> Result<Left, Refused> {
    match limiter.check_key(key) {
        Ok(state) => Ok(Left { policy, remaining: state.remaining_burst_capacity() }),
        Err(until) => Err(Refused {
            left: Left { policy, remaining: 0 },
            wait: until.wait_time_from(DefaultClock::default().now()),
        }),
    }
}

/// Counts the request against its client and its account. 429 `too_many_requests` with `Retry-After` when there is
/// nothing left.
pub async fn layer(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    if !limiter.enabled || FREE.iter().any(|free| request.uri().path().starts_with(free)) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    // A token that is not valid counts for no account; the layer behind refuses it.
    let account = Caller::from_request_parts(&mut parts, &()).await.ok().and_then(|caller| caller.id());
    let client = parts.extensions.get::<Client>().map_or(IpAddr::from([127, 0, 0, 1]), |client| client.0);
    let checked = match parts.uri.path() {
        path if path.starts_with(LONG) => limiter.check_hub(client).await,
        path if path.starts_with(COVERS) => limiter.check_cover(client).await,
        _ => limiter.check(client, account).await,
    };
    let (left, wait, mut response) = match checked {
        Ok(left) => (left, Duration::ZERO, next.run(Request::from_parts(parts, body)).await),
        Err(Refused { left, wait }) => {
            metrics::counter!("gateway_rate_limited_total", "policy" => left.policy.name).increment(1);
            let problem = Problem::new(ErrorCode::TooManyRequests)
                .detail(format!("At most {} requests a minute. Please wait a moment.", left.policy.rate.per_minute))
                .retry_after(wait.max(Duration::from_secs(1)));
            (left, wait, problem.into_response())
        }
    };
    let headers = response.headers_mut();
    let Policy { name, rate } = left.policy;
    let policy = format!("\"{name}\";q={};w=60", rate.per_minute);
    let state = format!("\"{name}\";r={};t={}", left.remaining, wait.as_secs_f64().ceil());
    for (name, value) in [(POLICY, policy), (STATE, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Frees the counters of clients whose limit is whole again.
pub fn tidy(limiter: Arc<Limiter>) -> Loop {
    Loop::every("gateway.limits", TIDY, move || {
        limiter.clients.retain_recent();
        limiter.accounts.retain_recent();
        limiter.hubs.retain_recent();
        limiter.covers.retain_recent();
        std::future::ready(())
    })
}
