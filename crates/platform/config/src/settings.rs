use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use url::Url;

use crate::{
    Admin, Ai, Basket, Chat, ConfigError, Database, Fleet, Gateway, Identity, Mail, Messaging, Mongodb, Monitor, Nats,
    Ordering, Payment, Rating, Redis, Search, Shop, Sources, Telemetry, Up, Web,
    validate::{Invalid, Validation},
};

/// Names are not looked up: which of its addresses was meant would depend on the machine.
fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| {
        D::Error::custom("must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080")
    })
}

/// Everything that can be set, with its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to answer HTTP. Port 0 takes any free port. Default `127.0.0.1:8080`.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// The folder for all data. Created when it is missing. Default `bookworm-data`.
    pub data_dir: PathBuf,
    /// The address under which customers reach the shop, for links in mails. When it is `https`, cookies are marked
    /// Secure. Left out: `http://` and the address listened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<Url>,
    /// How many seconds the process has to finish at shutdown, everything together: 0 to 600. Default 45.
    pub shutdown_grace_seconds: u64,
    /// Whether an empty catalogue is filled with the demonstration books at the first start. Default true.
    pub demo: bool,
    /// The roles that this process runs, by name. Empty: all.
    pub roles: Vec<String>,
    /// The shop as a whole.
    pub shop: Shop,
    /// Where data is stored.
    pub database: Database,
    /// How messages between services are delivered.
    pub messaging: Messaging,
    /// The bus of a fleet.
    pub nats: Nats,
    /// What processes share in memory.
    pub redis: Redis,
    /// The chat's conversations.
    pub mongodb: Mongodb,
    /// Logs.
    pub telemetry: Telemetry,
    /// The first administrator.
    pub admin: Admin,
    /// Accounts, tokens and protection against guessing.
    pub identity: Identity,
    /// The limits of the public API.
    pub gateway: Gateway,
    /// Baskets.
    pub basket: Basket,
    /// Searching the catalogue.
    pub search: Search,
    /// Checkout, shipping and tax.
    pub ordering: Ordering,
    /// The payment provider.
    pub payment: Payment,
    /// Outgoing mail.
    pub mail: Mail,
    /// Reviews, and asking for them.
    pub rating: Rating,
    /// The storefront.
    pub web: Web,
    /// The model that turns texts into vectors of meaning.
    pub ai: Ai,
    /// The support chat.
    pub chat: Chat,
    /// The other processes of the shop.
    pub fleet: Fleet,
    /// What the monitor sees of the shop.
    pub monitor: Monitor,
    /// A whole fleet on this machine.
    pub up: Up,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            data_dir: "bookworm-data".into(),
            public_url: None,
            shutdown_grace_seconds: 45,
            demo: true,
            roles: Vec::new(),
            shop: Shop::default(),
            database: Database::default(),
            messaging: Messaging::default(),
            nats: Nats::default(),
            redis: Redis::default(),
            mongodb: Mongodb::default(),
            telemetry: Telemetry::default(),
            admin: Admin::default(),
            identity: Identity::default(),
            gateway: Gateway::default(),
            basket: Basket::default(),
            search: Search::default(),
            ordering: Ordering::default(),
            payment: Payment::default(),
            mail: Mail::default(),
            rating: Rating::default(),
            web: Web::default(),
            ai: Ai::default(),
            chat: Chat::default(),
            fleet: Fleet::default(),
            monitor: Monitor::default(),
            up: Up::default(),
        }
    }
}

impl Settings {
    /// Reads and validates the configuration.
    ///
    /// # Errors
    /// When a source cannot be read, a key is unknown, a value is of the wrong type, or values break a limit. Each
    /// error names its key and where the value came from.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        sources.load()
    }

    /// The settings in force as TOML, secrets hidden, each value with where it is from: for `bookworm config`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn explain(sources: Sources) -> Result<String, ConfigError> {
        sources.explain()
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// Every key that breaks one.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut v = Validation::default();
        v.range("shutdown_grace_seconds", self.shutdown_grace_seconds, 0..=600);
        v.check(
            "fleet.drain_seconds",
            self.drain() <= self.shutdown_grace(),
            "must not be more than shutdown_grace_seconds, which it is a part of",
        );
        v.check("data_dir", !self.data_dir.as_os_str().is_empty(), "must not be empty");
        if let Some(url) = &self.public_url {
            v.check("public_url", is_origin(url), "must be http:// or https:// and a host, without path or query");
        }
        v.section("database", &self.database);
        v.section("messaging", &self.messaging);
        v.section("nats", &self.nats);
        v.section("redis", &self.redis);
        v.section("mongodb", &self.mongodb);
        v.section("telemetry", &self.telemetry);
        v.section("admin", &self.admin);
        v.section("identity", &self.identity);
        v.section("gateway", &self.gateway);
        v.section("basket", &self.basket);
        v.section("search", &self.search);
        v.section("ordering", &self.ordering);
        v.section("payment", &self.payment);
        v.section("mail", &self.mail);
        v.section("rating", &self.rating);
        v.section("monitor", &self.monitor);
        v.section("web", &self.web);
        v.section("ai", &self.ai);
        v.section("chat", &self.chat);
        v.section("fleet", &self.fleet);
        v.section("up", &self.up);
        let named = self.public_url.is_some() || !self.fleet.has_others();
        v.check("public_url", named, "must be set for a fleet: its processes listen in many places");
        v.finish()
    }

    /// How many days after an order is complete its buyer is asked for a review.
    #[must_use]
    pub fn invite_after_days(&self) -> u32 {
        self.rating.invite_after_days.unwrap_or(if self.demo { 0 } else { Rating::DAYS })
    }

    /// As TOML that can be read back, every secret as asterisks.
    ///
    /// # Panics
    /// Never: settings are plain tables.
    #[must_use]
    pub fn redacted_toml(&self) -> String {
        toml::to_string_pretty(self).expect("settings are plain tables")
    }

    /// The address of the shop without a slash at its end, given the address it really listens on.
    #[must_use]
    pub fn public_origin(&self, listening: SocketAddr) -> String {
        self.public_url
            .as_ref()
            .map_or_else(|| format!("http://{listening}"), |url| url.as_str().trim_end_matches('/').to_owned())
    }

    /// The `iss` of tokens, given the address the shop really listens on.
    #[must_use]
    pub fn token_issuer(&self, listening: SocketAddr) -> String {
        self.identity.issuer.clone().unwrap_or_else(|| self.public_origin(listening))
    }

    /// Whether cookies must be sent over TLS only.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// For how long a process that is told to stop goes on taking requests.
    #[must_use]
    pub fn drain(&self) -> Duration {
        let noticed = self.fleet.has_others() || self.fleet.operations_listen.is_some();
        Duration::from_secs(if noticed { self.fleet.drain_seconds } else { 0 })
    }

    /// How long the process has to finish at shutdown, everything together.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds)
    }
}

fn is_origin(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
}
