use serde::{Deserialize, Serialize};
use url::Url;

use crate::validate::{Validate, Validation};

/// The limits of the public API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// The largest body of a request, in KiB: 1 to 65536. Default 256.
    pub body_limit_kib: u32,
    /// After how many seconds a request is given up: 1 to 600. Default 30. Must be above
    /// `ordering.max_wait_seconds` for that to be reached.
    pub request_timeout_seconds: u64,
    /// How many requests run at once; more are answered with 503: 1 to 100000. Default 1024.
    pub concurrency: u32,
    /// Whether the client's address is taken from `X-Forwarded-For`. Only behind a proxy that sets it: others could
    /// write anything there. Default false.
    pub trust_forwarded_for: bool,
    /// How many connections there may be.
    pub connections: Connections,
    /// Which other web sites may call the API from a browser.
    pub cors: Cors,
    /// How often one client may ask.
    pub rate_limit: RateLimit,
    /// Cached answers.
    pub cache: Cache,
}

/// Connections of clients, whatever they carry: HTTP/1.1, HTTP/2, WebSockets, event streams, polls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// In all: 1 to 1000000. Default 10000, and never more than the system's limit of open files leaves after what the
    /// shop needs itself.
    pub max: u32,
    /// From one address (IPv4) or one /64 (IPv6): 1 to 1000000. Default 256, and never more than a quarter of those
    /// that are free. At or above `max` addresses are not distinguished, as for a load test. Behind a proxy
    /// (`trust_forwarded_for`) every connection is the proxy's, and this bounds none.
    pub per_address: u32,
}

/// Cross-origin requests (Fetch standard).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins such as `https://app.example.org`. Empty: none but the shop itself.
    pub allowed_origins: Vec<String>,
}

/// Token buckets, one for each client address and one for each account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Whether there is a limit, also of how many requests one client has running at once: a quarter of the places of
    /// `gateway.concurrency` that are free. Default true.
    pub enabled: bool,
    /// Requests in a minute from one address without an account: 1 to 1000000. Default 600, since an office or a
    /// school shares one address; a page of the shop costs about three.
    pub per_client_per_minute: u32,
    /// Requests in a minute from one account: 1 to 1000000. Default 1200: staff tools ask more often than readers.
    pub per_account_per_minute: u32,
    /// Requests in a minute from one address to hubs, such as the support chat's: 1 to 1000000. Default 3000. Over
    /// WebSockets a connection costs two; over long polling each message costs one or two.
    pub hubs_per_client_per_minute: u32,
    /// Covers in a minute from one address: 1 to 1000000. Default 6000. A page of books shows up to 100; browsers keep
    /// them.
    pub covers_per_client_per_minute: u32,
    /// Requests at one go before the rate counts: 1 to 1000000. Default 120.
    pub burst: u32,
}

/// Answers to searches, suggestions, similar books and a stranger's recommendations, cached in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Whether answers are cached. Default true.
    pub enabled: bool,
    /// Memory for answers, in MiB: 1 to 65536. Default 32, some 1,000 pages of results.
    pub capacity_mib: u32,
    /// How many seconds an answer is fresh: 1 to 86400. Default 30. Changes of books are seen sooner, copies held for
    /// orders only then.
    pub ttl_seconds: u32,
    /// For how many seconds after that it is still given while a new one is fetched: 0 to 86400. Default 300.
    pub stale_seconds: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            body_limit_kib: 256,
            request_timeout_seconds: 30,
            concurrency: 1024,
            trust_forwarded_for: false,
            connections: Connections::default(),
            cors: Cors::default(),
            rate_limit: RateLimit::default(),
            cache: Cache::default(),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self { max: 10_000, per_address: 256 }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { enabled: true, capacity_mib: 32, ttl_seconds: 30, stale_seconds: 300 }
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            per_client_per_minute: 600,
            per_account_per_minute: 1200,
            hubs_per_client_per_minute: 3000,
            covers_per_client_per_minute: 6000,
            burst: 120,
        }
    }
}

impl Validate for Gateway {
    fn validate(&self, v: &mut Validation) {
        v.range("body_limit_kib", self.body_limit_kib, 1..=65_536);
        v.range("request_timeout_seconds", self.request_timeout_seconds, 1..=600);
        v.range("concurrency", self.concurrency, 1..=100_000);
        v.section("connections", &self.connections);
        v.section("cors", &self.cors);
        v.section("rate_limit", &self.rate_limit);
        v.section("cache", &self.cache);
    }
}

impl Validate for Connections {
    fn validate(&self, v: &mut Validation) {
        v.range("max", self.max, 1..=1_000_000);
        v.range("per_address", self.per_address, 1..=1_000_000);
    }
}

impl Validate for Cache {
    fn validate(&self, v: &mut Validation) {
        v.range("capacity_mib", self.capacity_mib, 1..=65_536);
        v.range("ttl_seconds", self.ttl_seconds, 1..=86_400);
        v.range("stale_seconds", self.stale_seconds, 0..=86_400);
    }
}

impl Validate for Cors {
    fn validate(&self, v: &mut Validation) {
        for (n, origin) in self.allowed_origins.iter().enumerate() {
            let valid = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            v.check(&format!("allowed_origins[{n}]"), valid, "must be an origin such as https://app.example.org");
        }
    }
}

impl Validate for RateLimit {
    fn validate(&self, v: &mut Validation) {
        v.range("per_client_per_minute", self.per_client_per_minute, 1..=1_000_000);
        v.range("per_account_per_minute", self.per_account_per_minute, 1..=1_000_000);
        v.range("hubs_per_client_per_minute", self.hubs_per_client_per_minute, 1..=1_000_000);
        v.range("covers_per_client_per_minute", self.covers_per_client_per_minute, 1..=1_000_000);
        v.range("burst", self.burst, 1..=1_000_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_cache_are_named() {
        let refused = |cache: Cache| {
            let mut validation = Validation::default();
            validation.section("gateway", &Gateway { cache, ..Gateway::default() });
            validation.finish().err().into_iter().flatten().map(|invalid| invalid.to_string()).collect::<Vec<_>>()
        };
        assert!(refused(Cache::default()).is_empty());
        assert!(refused(Cache { stale_seconds: 0, ..Cache::default() }).is_empty());
        let none = Cache { enabled: true, capacity_mib: 0, ttl_seconds: 0, stale_seconds: 86_401 };
        assert_eq!(
            refused(none),
            [
                "gateway.cache.capacity_mib: must be 1 to 65536, not 0",
                "gateway.cache.ttl_seconds: must be 1 to 86400, not 0",
                "gateway.cache.stale_seconds: must be 0 to 86400, not 86401",
            ]
        );
    }
}
