use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// The shortest secret that the fleet's processes may share.
const SHORTEST_TOKEN: usize = 32;
const LONGEST_TOKEN: usize = 255;

/// How the processes of one shop find and trust each other. Left out: the whole shop is this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Where this process answers the shop's other processes: an address and a port of a network that only they reach.
    /// Port 0 takes any free port. Left out: nowhere. It speaks TLS with `certificate_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_listen: Option<SocketAddr>,
    /// The address under which others reach `internal_listen`, such as `http://10.0.0.5:9000`, or `https://` with
    /// `certificate_file`. Left out: that, and the address listened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Url>,
    /// The secret that all processes of the shop share: 32 to 255 visible characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file with that secret, instead of `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A file with this process's certificate (PEM), by which it and the others know each other and nobody reads what they
    /// say: it has the name `DNS:bookworm-fleet`, and is for servers and clients. `key_file` and `ca_file` belong to it. Read
    /// again when it changes. Left out: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// A file with its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// A file with the certificate of the fleet's own authority (PEM). It signs nothing else: whoever has a certificate of it
    /// is let in to the greeting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// This process's name, which no other process of the shop has: 1 to 60 letters, digits, dashes and underscores. Left
    /// out: made at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Where it runs, such as a data centre's name: 1 to 60 letters, digits, dots and dashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Where this process answers operators: `/health/live`, `/health/ready`, `/health/detail` and `/metrics`, without a
    /// password. `/metrics` is no longer public then. Port 0 takes any free port. Left out: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations_listen: Option<SocketAddr>,
    /// For how many seconds a process that was told to stop says that it is not ready and still takes requests, so that
    /// others notice: 0 to 300. Default 5. Without a fleet or an operations listener there is nobody to notice, and it
    /// stops at once.
    pub drain_seconds: u64,
    /// For how many seconds a process that starts waits until every role that it needs is announced, where NATS is the bus;
    /// then it ends with an error: 0 to 300. Default 30.
    pub start_wait_seconds: u64,
    /// Where the roles run that are not in this process, by role: `catalog = ["http://10.0.0.5:9000"]`. In an environment
    /// variable with commas. Needed for every role without NATS; with NATS for none, and for those named here it wins over
    /// what is announced.
    pub endpoints: BTreeMap<String, Endpoints>,
}

/// Addresses of a role's instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Endpoints(pub Vec<Url>);

impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be addresses such as [\"http://10.0.0.5:9000\"]")]
        enum Written {
            List(Vec<Url>),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::List(addresses) => Ok(Self(addresses)),
            Written::Text(text) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                let addresses: Result<Vec<Url>, _> = words.map(Url::parse).collect();
                addresses
                    .map(Self)
                    .map_err(|_| serde::de::Error::custom("must be addresses such as http://10.0.0.5:9000"))
            }
        }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            internal_listen: None,
            advertise: None,
            token: None,
            token_file: None,
            certificate_file: None,
            key_file: None,
            ca_file: None,
            instance: None,
            zone: None,
            operations_listen: None,
            drain_seconds: 5,
            start_wait_seconds: 30,
            endpoints: BTreeMap::new(),
        }
    }
}

impl Fleet {
    /// Whether this process talks to others of the same shop.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.internal_listen.is_some() || !self.endpoints.is_empty()
    }

    /// The secret, from its file where one is named.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such secret in it.
    pub fn secret(&self) -> Result<Option<Secret>, String> {
        let Some(file) = &self.token_file else { return Ok(self.token.clone()) };
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let token = text.trim();
        if !is_token(token) {
            return Err(format!("{} must hold {}", file.display(), token_form()));
        }
        Ok(Some(Secret::new(token)))
    }
}

fn is_token(text: &str) -> bool {
    (SHORTEST_TOKEN..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn token_form() -> String {
    format!("{SHORTEST_TOKEN} to {LONGEST_TOKEN} visible ASCII characters")
}

/// Letters, digits, and these bytes.
fn is_name(text: &str, others: &[u8]) -> bool {
    (1..=60).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// `http://` or `https://`, a host, and no more than a port.
fn is_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

const ADDRESS: &str = "must be http:// or https:// and a host and port, without a path: http://10.0.0.5:9000";
const ZONE: &str = "must be 1 to 60 letters, digits, dots and dashes";
const INSTANCE: &str = "must be 1 to 60 letters, digits, dashes and underscores";

impl Validate for Fleet {
    fn validate(&self, v: &mut Validation) {
        v.range("drain_seconds", self.drain_seconds, 0..=300);
        v.range("start_wait_seconds", self.start_wait_seconds, 0..=300);
        v.check("advertise", self.advertise.as_ref().is_none_or(is_address), ADDRESS);
        let files = [&self.certificate_file, &self.key_file, &self.ca_file];
        let all = files.iter().all(|file| file.is_some());
        v.check(
            "certificate_file",
            all || files.iter().all(|file| file.is_none()),
            "belongs to fleet.key_file and fleet.ca_file: set all three, or none",
        );
        let scheme = if all { "https" } else { "http" };
        v.check(
            "advertise",
            self.advertise.as_ref().is_none_or(|url| !is_address(url) || url.scheme() == scheme),
            "must begin with https:// exactly when fleet.certificate_file is set",
        );
        let secure = |Endpoints(addresses): &Endpoints| addresses.iter().any(|address| address.scheme() == "https");
        v.check(
            "endpoints",
            all || !self.endpoints.values().any(secure),
            "with https:// need fleet.certificate_file, by which this process is known there",
        );
        v.check("instance", self.instance.as_deref().is_none_or(|name| is_name(name, b"-_")), INSTANCE);
        v.check("zone", self.zone.as_deref().is_none_or(|name| is_name(name, b".-")), ZONE);
        if let Some(token) = &self.token {
            v.check("token", is_token(token.expose()), format!("must be {}", token_form()));
            v.check("token", self.token_file.is_none(), "set this or token_file, not both");
        }
        let trusted = self.token.is_some() || self.token_file.is_some();
        v.check("token", trusted || !self.has_others(), "must be set (or token_file): the same in every process");
        v.check(
            "advertise",
            self.advertise.is_some() || !self.internal_listen.is_some_and(|address| address.ip().is_unspecified()),
            "must be set where internal_listen names no address that others could use",
        );
        for (role, Endpoints(addresses)) in &self.endpoints {
            let valid = !addresses.is_empty() && addresses.iter().all(is_address);
            v.check(&format!("endpoints.{role}"), valid, ADDRESS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{Settings, Sources};

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn load(values: &[(&str, &str)]) -> Result<Fleet, String> {
        let sources = values.iter().fold(Sources::new(), |sources, (key, value)| sources.set("a test", key, *value));
        Settings::load(sources).map(|settings| settings.fleet).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fleet_is_read_from_a_file_and_from_variables() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "public_url = \"https://shop.test\"\n[fleet]\ninternal_listen = \"127.0.0.1:9000\"\ntoken = \"{TOKEN}\"\n[fleet.endpoints]\ncatalog = [\"http://a:1\", \"http://b:2\"]").unwrap();
        let variable = ("BOOKWORM_FLEET__ENDPOINTS__BASKET".to_owned(), "http://c:3, http://d:4".to_owned());
        let fleet = Settings::load(Sources::new().file(file.path()).variables([variable])).unwrap().fleet;
        let addresses = |role: &str| fleet.endpoints[role].0.iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(addresses("catalog"), ["http://a:1/", "http://b:2/"]);
        assert_eq!(addresses("basket"), ["http://c:3/", "http://d:4/"]);
        assert!(fleet.has_others() && !Fleet::default().has_others());
    }

    #[test]
    fn what_cannot_be_a_fleet_is_refused_in_words() {
        let url = ("public_url", "https://shop.test");
        let (listen, token) = (("fleet.internal_listen", "127.0.0.1:0"), ("fleet.token", TOKEN));
        for (values, words) in [
            (&[url, listen][..], "fleet.token: must be set (or token_file)"),
            (&[listen, token], "public_url: must be set"),
            (&[url, listen, ("fleet.token", "short")], "fleet.token: must be 32 to 255 visible ASCII characters"),
            (&[url, listen, token, ("fleet.token_file", "x")], "fleet.token: set this or token_file, not both"),
            (&[url, token, ("fleet.internal_listen", "0.0.0.0:9000")], "fleet.advertise: must be set"),
            (&[url, token, listen, ("fleet.advertise", "ftp://a:1")], "fleet.advertise: must be http://"),
            (
                &[url, token, listen, ("fleet.advertise", "https://a:1")],
                "fleet.advertise: must begin with https:// exactly",
            ),
            (&[url, token, listen, ("fleet.key_file", "k")], "fleet.certificate_file: belongs to fleet.key_file"),
            (&[url, token, ("fleet.endpoints.ai", "https://a:1")], "fleet.endpoints: with https:// need"),
            (&[url, token, ("fleet.endpoints.catalog", "http://a:1/x")], "fleet.endpoints.catalog: must be http://"),
            (&[url, token, ("fleet.endpoints.catalog", "http://u:p@a:1")], "fleet.endpoints.catalog: must be http://"),
            (&[url, token, ("fleet.endpoints.catalog", "")], "fleet.endpoints.catalog: must be http://"),
            (&[url, token, ("fleet.endpoints.catalog", "a:1:2")], "fleet.endpoints.catalog"),
            (&[("fleet.instance", "a b")], "fleet.instance: must be 1 to 60"),
            (&[("fleet.instance", "a.b")], "fleet.instance: must be 1 to 60 letters, digits, dashes and underscores"),
            (&[("fleet.zone", "")], "fleet.zone: must be 1 to 60"),
            (&[("fleet.drain_seconds", "301")], "fleet.drain_seconds: must be 0 to 300"),
            (&[("fleet.start_wait_seconds", "301")], "fleet.start_wait_seconds: must be 0 to 300"),
        ] {
            let error = load(values).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
        assert!(load(&[("fleet.operations_listen", "127.0.0.1:0")]).is_ok(), "one process may have one too");
    }

    #[test]
    fn the_secret_comes_from_its_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let fleet = Fleet { token_file: Some(file.path().to_owned()), ..Fleet::default() };
        assert!(fleet.secret().unwrap_err().contains("must hold 32 to 255"));
        writeln!(file, "{TOKEN}").unwrap();
        assert_eq!(fleet.secret().unwrap().unwrap().expose(), TOKEN);
        let away = Fleet { token_file: Some("/nowhere/at/all".into()), ..Fleet::default() };
        assert!(away.secret().unwrap_err().contains("cannot read /nowhere/at/all"));
    }
}
