//! Limits how often a client and an account may ask.
//!
//! The generic cell rate algorithm, through `governor`, for each client address and for each account. The answer says
//! how much is left (`RateLimit`, `RateLimit-Policy`: draft-ietf-httpapi-ratelimit-headers).

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bookworm_config::RateLimit;
use bookworm_http::{Problem, auth::Caller, places::network};
use bookworm_kernel::{CustomerId, ErrorCode};
use bookworm_loops::Loop;
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
    per_client: u32,
    per_account: u32,
    per_hub_client: u32,
    covers_per_client: u32,
}

impl Limiter {
    pub fn new(settings: &RateLimit) -> Self {
        // The configuration refuses zeros.
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota =
            |per_minute: u32| Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(settings.burst));
        Self {
            enabled: settings.enabled,
            clients: RateLimiter::keyed(quota(settings.per_client_per_minute)).with_middleware(),
            accounts: RateLimiter::keyed(quota(settings.per_account_per_minute)).with_middleware(),
            hubs: RateLimiter::keyed(Quota::per_minute(at_least_one(settings.hubs_per_client_per_minute)))
                .with_middleware(),
            covers: RateLimiter::keyed(Quota::per_minute(at_least_one(settings.covers_per_client_per_minute)))
                .with_middleware(),
            per_client: settings.per_client_per_minute,
            per_account: settings.per_account_per_minute,
            per_hub_client: settings.hubs_per_client_per_minute,
            covers_per_client: settings.covers_per_client_per_minute,
        }
    }

    fn check_hub(&self, client: IpAddr) -> Result<Left, Refused> {
        take(&self.hubs, &network(client), "hubs", self.per_hub_client)
    }

    fn check_cover(&self, client: IpAddr) -> Result<Left, Refused> {
        take(&self.covers, &network(client), "covers", self.covers_per_client)
    }

    fn check(&self, client: IpAddr, account: Option<CustomerId>) -> Result<Left, Refused> {
        let left = take(&self.clients, &network(client), "client", self.per_client)?;
        match account {
            Some(account) => take(&self.accounts, &account, "account", self.per_account),
            None => Ok(left),
        }
    }
}

struct Left {
    policy: &'static str,
    per_minute: u32,
    remaining: u32,
}

struct Refused {
    left: Left,
    wait: Duration,
}

fn take<K: std::hash::Hash + Eq + Clone>(
    limiter: &Keyed<K>,
    key: &K,
    policy: &'static str,
    per_minute: u32,
) -> Result<Left, Refused> {
    match limiter.check_key(key) {
        Ok(state) => Ok(Left { policy, per_minute, remaining: state.remaining_burst_capacity() }),
        Err(until) => Err(Refused {
            left: Left { policy, per_minute, remaining: 0 },
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
        path if path.starts_with(LONG) => limiter.check_hub(client),
        path if path.starts_with(COVERS) => limiter.check_cover(client),
        _ => limiter.check(client, account),
    };
    let (left, wait, mut response) = match checked {
        Ok(left) => (left, Duration::ZERO, next.run(Request::from_parts(parts, body)).await),
        Err(Refused { left, wait }) => {
            metrics::counter!("gateway_rate_limited_total", "policy" => left.policy).increment(1);
            let problem = Problem::new(ErrorCode::TooManyRequests)
                .detail(format!("At most {} requests a minute. Please wait a moment.", left.per_minute))
                .retry_after(wait.max(Duration::from_secs(1)));
            (left, wait, problem.into_response())
        }
    };
    let headers = response.headers_mut();
    let policy = format!("\"{}\";q={};w=60", left.policy, left.per_minute);
    let state = format!("\"{}\";r={};t={}", left.policy, left.remaining, wait.as_secs_f64().ceil());
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
