use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// The bus of a fleet: NATS with JetStream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nats {
    /// The servers of one cluster, with commas between: `nats://host:4222`, or `tls://host:4222`. Left out: messages
    /// travel through the embedded bus. Secret, because it may contain a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// The JetStream stream, and in lower case the first word of every subject: 1 to 64 letters, digits, `_` and `-`.
    /// Shops that share a server need different ones. Default `BOOKWORM`.
    pub stream: String,
    /// How many servers of the cluster store each message: 1, 3 or 5. Default 1.
    pub replicas: u32,
    /// The most that the stream stores, in MiB: 8 to 1048576. Default 1024. When it is full, messages wait in the
    /// outboxes.
    pub max_mib: u32,
    /// How many seconds a start waits for the servers, and for JetStream there: 1 to 600. Default 60.
    pub connect_timeout_seconds: u64,
    /// Who signs in, with a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A file with that password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A token that signs in instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file with that token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The seed of an nkey that signs in instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<Secret>,
    /// A file with that seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey_file: Option<PathBuf>,
    /// A credentials file (JWT and seed), as `nsc` makes it, that signs in instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Whether the connection must be TLS. Default false; `tls://` implies it.
    pub tls: bool,
    /// A file with the certificates (PEM) of authorities to trust instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file with our certificate (PEM), for a server that wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// A file with its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: None,
            stream: "BOOKWORM".to_owned(),
            replicas: 1,
            max_mib: 1024,
            connect_timeout_seconds: 60,
            username: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey: None,
            nkey_file: None,
            credentials_file: None,
            tls: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Nats {
    /// The servers of `url`.
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        let urls = self.url.as_ref().map_or("", Secret::expose);
        urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
    }
}

fn is_server(url: &str) -> bool {
    let plain = |url: &Url| url.host_str().is_some() && matches!(url.path(), "" | "/") && url.query().is_none();
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && plain(&url))
}

impl Validate for Nats {
    fn validate(&self, v: &mut Validation) {
        let servers = self.servers();
        if self.url.is_some() {
            let valid = !servers.is_empty() && servers.iter().all(|server| is_server(server));
            v.check("url", valid, "must be nats://host:4222 or tls://host:4222, or several with commas between");
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let named = (1..=64).contains(&self.stream.len()) && self.stream.chars().all(word);
        v.check("stream", named, "must be 1 to 64 letters, digits, _ and -");
        v.check("replicas", matches!(self.replicas, 1 | 3 | 5), "must be 1, 3 or 5");
        v.range("max_mib", self.max_mib, 8..=1_048_576);
        v.range("connect_timeout_seconds", self.connect_timeout_seconds, 1..=600);
        for (key, value, file) in [
            ("password", &self.password, &self.password_file),
            ("token", &self.token, &self.token_file),
            ("nkey", &self.nkey, &self.nkey_file),
        ] {
            v.check(key, value.is_none() || file.is_none(), format!("cannot be set together with nats.{key}_file"));
        }
        let password = self.password.is_some() || self.password_file.is_some();
        v.check("password", self.username.is_some() == password, "must be set exactly when nats.username is");
        let logins = [
            self.username.is_some(),
            self.token.is_some() || self.token_file.is_some(),
            self.nkey.is_some() || self.nkey_file.is_some(),
            self.credentials_file.is_some(),
        ];
        let one = logins.into_iter().filter(|set| *set).count() <= 1;
        v.check("username", one, "only one of username, token, nkey and credentials_file can sign in");
        let pair = self.certificate_file.is_some() == self.key_file.is_some();
        v.check("key_file", pair, "must be set exactly when nats.certificate_file is");
    }
}
