use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// What processes share in memory: Redis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://user@host:6379/0`, or `rediss://` for TLS. Left out: each process by itself. Secret, because it may
    /// contain a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Before every key: 1 to 64 letters, digits, `_` and `-`. Shops that share a server need different ones. Default
    /// `bookworm`.
    pub prefix: String,
    /// How many seconds `bookworm init` waits for the server: 1 to 600. Default 60. A process that serves does not wait for
    /// it: it goes on by itself.
    pub connect_timeout_seconds: u64,
    /// The password, when it is not in `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with that password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) of authorities to trust instead of the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with our certificate (PEM), for a server that wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// A file with its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            prefix: "bookworm".to_owned(),
            connect_timeout_seconds: 60,
            password: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Validate for Redis {
    fn validate(&self, v: &mut Validation) {
        let url = self.url.as_ref().and_then(|url| Url::parse(url.expose()).ok());
        if self.url.is_some() {
            let database = |url: &Url| {
                let path = url.path().trim_start_matches('/');
                path.is_empty() || path.parse::<u16>().is_ok()
            };
            let valid = url.as_ref().is_some_and(|url| {
                matches!(url.scheme(), "redis" | "rediss")
                    && url.host_str().is_some_and(|host| !host.is_empty())
                    && database(url)
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            v.check(
                "url",
                valid,
                "must be redis://host:6379 or rediss://host:6379, with the number of a database or none",
            );
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let named = (1..=64).contains(&self.prefix.len()) && self.prefix.chars().all(word);
        v.check("prefix", named, "must be 1 to 64 letters, digits, _ and -");
        v.range("connect_timeout_seconds", self.connect_timeout_seconds, 1..=600);
        let passwords = [
            url.as_ref().is_some_and(|url| url.password().is_some()),
            self.password.is_some(),
            self.password_file.is_some(),
        ];
        let one = passwords.into_iter().filter(|set| *set).count() <= 1;
        v.check("password", one, "can be in only one of redis.url, redis.password and redis.password_file");
        let tls = url.as_ref().is_none_or(|url| url.scheme() == "rediss");
        v.check("ca_file", self.ca_file.is_none() || tls, "is for rediss:// only");
        v.check("certificate_file", self.certificate_file.is_none() || tls, "is for rediss:// only");
        let pair = self.certificate_file.is_some() == self.key_file.is_some();
        v.check("key_file", pair, "must be set exactly when redis.certificate_file is");
    }
}
