//! This process among the others of the shop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bookworm_config::{Secret, Settings};
use bookworm_fleet::{FetchedKeys, FleetToken, Peers, tag_of};
use bookworm_http::{
    auth::TokenVerifier,
    tls::{Files, Tls},
};
use bookworm_identity::IdentityService;
use bookworm_kernel::Clock;
use bookworm_registry::{Directory, View};
use http::Uri;
use uuid::Uuid;

use crate::{Role, Roles};

/// A name for a process that was given none: 8 hexadecimal digits, by chance.
#[must_use]
pub fn make_instance() -> String {
    Uuid::new_v4().simple().to_string()[..8].to_owned()
}

/// Who the others are, and what they call this one.
pub struct Fleet {
    /// Addresses of roles in other processes that the settings name.
    endpoints: Vec<(String, Vec<Uri>)>,
    /// Whether others announce their roles where this process sees it.
    announced: bool,
    /// The secret that all share; `None` where this process is the whole shop.
    pub token: Option<Arc<FleetToken>>,
    /// The certificates of this process and its shop; `None` where the internal listener speaks plain HTTP.
    pub tls: Option<Tls>,
    /// The address under which others reach this process; `None` when they do not.
    pub address: Option<Uri>,
    /// This process's name.
    pub instance: String,
}

impl Fleet {
    /// Reads the settings. `internal` is where this process listens to others.
    ///
    /// # Errors
    /// When the secret cannot be read, or an endpoint is no role's.
    pub fn open(settings: &Settings, internal: Option<SocketAddr>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let wanted = &settings.fleet;
        let secret = wanted.secret().map_err(|error| anyhow::anyhow!("fleet.token_file: {error}"))?;
        let token = secret.map(|secret| Arc::new(FleetToken::new(Secret::expose(&secret), clock)));
        let mut endpoints = Vec::new();
        for (name, addresses) in &wanted.endpoints {
            let role: Role = name.parse().with_context(|| format!("fleet.endpoints.{name}"))?;
            let addresses = addresses.0.iter().map(|address| address.as_str().parse());
            endpoints.push((role.name().to_owned(), addresses.collect::<Result<Vec<Uri>, _>>()?));
        }
        let tls = certificates(wanted)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = match (&wanted.advertise, internal) {
            (Some(url), Some(_)) => Some(url.as_str().parse()?),
            (None, Some(address)) => Some(format!("{scheme}://{address}/").parse()?),
            (_, None) => None,
        };
        let instance = wanted.instance.clone().unwrap_or_else(make_instance);
        let announced = wanted.has_others() && settings.nats.url.is_some();
        Ok(Self { endpoints, announced, token, tls, address, instance })
    }

    /// The ways to the others. Addresses in the settings win over what is announced, role by role.
    #[must_use]
    pub fn peers(&self, announced: Directory) -> Peers {
        Peers::new(announced, self.endpoints.iter().cloned(), self.token.clone(), self.tls.clone())
    }

    /// What tells this process from others in the tokens of hub connections; `None` when no other process passes them on.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        self.address.as_ref().map(tag_of)
    }

    /// Whether another process may have this role.
    #[must_use]
    pub fn reaches(&self, role: Role) -> bool {
        self.announced || self.names(role)
    }

    /// Whether the settings say where this role is.
    fn names(&self, role: Role) -> bool {
        self.endpoints.iter().any(|(name, _)| name == role.name())
    }

    /// Where access tokens' keys are fetched from; the verifier as it is where identity is here, or nowhere.
    #[must_use]
    pub fn with_keys(&self, verifier: TokenVerifier, roles: &Roles, peers: &Peers) -> TokenVerifier {
        if roles.has(Role::Identity) || !self.reaches(Role::Identity) {
            return verifier;
        }
        let identity = peers.upstream(Role::Identity.name());
        verifier.fetching_from(Arc::new(FetchedKeys::new(identity, IdentityService::KEY_SET)))
    }

    /// Checks that every role finds whom it asks as far as the settings say, and that somebody can ask it.
    ///
    /// # Errors
    /// Names every role that lacks another.
    pub fn check(&self, settings: &Settings, roles: &Roles) -> anyhow::Result<()> {
        let lacks: Vec<_> = needs(settings, roles).filter(|(_, asked)| !self.reaches(*asked)).collect();
        if let [(_, first), ..] = lacks[..] {
            bail!(
                "{}: neither is among this process's roles nor in fleet.endpoints. Add it to --roles, or {}",
                in_words(&lacks),
                where_it_is(first)
            );
        }
        if !roles.has(Role::Gateway) && self.address.is_none() {
            bail!(
                "this process has no gateway and no fleet.internal_listen, so nobody could ask it: add gateway to \
                 --roles, or set fleet.internal_listen"
            );
        }
        if settings.fleet.has_others() && settings.database.url.is_none() && settings.nats.url.is_none() {
            bail!("the processes of a fleet share one bus: set nats.url, or database.url to a PostgreSQL database");
        }
        Ok(())
    }

    /// Waits until every role that this process needs is announced, for `fleet.start_wait_seconds` at most. Announced, not
    /// ready: two processes that need each other both start.
    ///
    /// # Errors
    /// Names every role that lacks another.
    pub async fn meet(&self, settings: &Settings, roles: &Roles, announced: &Directory) -> anyhow::Result<()> {
        let asked: Vec<_> = needs(settings, roles).filter(|(_, asked)| !self.names(*asked)).collect();
        let lacks = |view: &View| -> Vec<(Role, Role)> {
            let is_there = |role: &Role| view.of(role.name()).any(|member| member.instance.http.is_some());
            asked.iter().filter(|(_, asked)| !is_there(asked)).copied().collect()
        };
        let seconds = settings.fleet.start_wait_seconds;
        if !asked.is_empty() {
            tracing::info!(seconds, needs = in_words(&asked), "waiting for the roles that this process needs");
        }
        let met = announced.wait_until(|view| lacks(view).is_empty());
        if tokio::time::timeout(Duration::from_secs(seconds), met).await.is_ok() {
            return Ok(());
        }
        let lacks = lacks(&announced.view());
        let Some((_, first)) = lacks.first() else { return Ok(()) };
        bail!(
            "{}: no process announced it in the registry within {seconds} s (fleet.start_wait_seconds). Start one with \
             --roles {first} and the same [nats], or {}",
            in_words(&lacks),
            where_it_is(*first)
        );
    }
}

/// The certificates that the settings name, ready for use; `None` where they name none.
///
/// # Errors
/// When they cannot be used. It says how good ones are made.
pub fn certificates(wanted: &bookworm_config::Fleet) -> anyhow::Result<Option<Tls>> {
    let files = (&wanted.certificate_file, &wanted.key_file, &wanted.ca_file);
    let (Some(certificate), Some(key), Some(authorities)) = files else { return Ok(None) };
    let files = Files { certificate: certificate.clone(), key: key.clone(), authorities: authorities.clone() };
    let tls = Tls::open(files).with_context(|| {
        format!("fleet.certificate_file, key_file and ca_file cannot be used; {} makes good ones", HOW_TO_MAKE)
    })?;
    Ok(Some(tls))
}

/// Makes an authority and a certificate of the fleet.
const HOW_TO_MAKE: &str = "deploy/fleet-certificates FOLDER NAME";

/// Which of these roles asks which other that is not among them.
fn needs(settings: &Settings, roles: &Roles) -> impl Iterator<Item = (Role, Role)> {
    // In a fleet whoever has an API checks access tokens, with identity's keys.
    let checks = |role: &Role| !matches!(role, Role::Ai | Role::Web | Role::Monitor);
    let checking = roles.iter().find(checks).filter(|_| settings.fleet.has_others());
    roles
        .iter()
        .flat_map(|role| role.asks().iter().map(move |asked| (role, *asked)))
        .chain(checking.map(|role| (role, Role::Identity)))
        .filter(|(_, asked)| !roles.has(*asked))
}

fn in_words(needs: &[(Role, Role)]) -> String {
    needs.iter().map(|(role, asked)| format!("{role} asks {asked}")).collect::<Vec<_>>().join(", ")
}

fn where_it_is(role: Role) -> String {
    format!("say where it is: BOOKWORM_FLEET__ENDPOINTS__{}=http://ADDRESS:PORT", role.name().to_uppercase())
}

#[cfg(test)]
mod tests {
    use bookworm_config::Sources;
    use bookworm_kernel::SystemClock;

    use super::*;

    const FLEET: [(&str, &str); 4] = [
        ("public_url", "https://shop.test"),
        ("fleet.token", "0123456789abcdef0123456789abcdef"),
        ("fleet.internal_listen", "127.0.0.1:9000"),
        ("database.url", "postgres://localhost/shop"),
    ];

    fn check(roles: &str, values: &[(&str, &str)]) -> Result<(), String> {
        let sources = Sources::new().set("a test", "roles", roles);
        let sources = values.iter().fold(sources, |sources, (key, value)| sources.set("a test", key, *value));
        let settings = Settings::load(sources).map_err(|error| error.to_string())?;
        let roles = Roles::parse(&settings.roles).map_err(|error| error.to_string())?;
        let fleet = Fleet::open(&settings, settings.fleet.internal_listen, Arc::new(SystemClock));
        fleet.and_then(|fleet| fleet.check(&settings, &roles)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn whom_a_role_asks_is_here_or_somewhere_named() {
        assert_eq!(check("", &[]), Ok(()), "the whole shop");
        assert_eq!(check("catalog,gateway", &[]), Ok(()), "a part of it, to try something");
        let error = check("basket,gateway", &[]).unwrap_err();
        assert!(error.starts_with("basket asks catalog: neither is among"), "{error}");
        assert!(error.contains("BOOKWORM_FLEET__ENDPOINTS__CATALOG="), "{error}");
        let error = check("ordering", &FLEET).unwrap_err();
        assert!(error.starts_with("ordering asks catalog, ordering asks basket, ordering asks identity:"), "{error}");
        let mut whole = FLEET.to_vec();
        whole.extend(["catalog", "basket", "identity"].map(|role| match role {
            "catalog" => ("fleet.endpoints.catalog", "http://127.0.0.1:9001"),
            "basket" => ("fleet.endpoints.basket", "http://127.0.0.1:9002,http://127.0.0.1:9003"),
            _ => ("fleet.endpoints.identity", "http://127.0.0.1:9004"),
        }));
        assert_eq!(check("ordering", &whole), Ok(()));
    }

    #[test]
    fn a_process_that_nobody_could_ask_is_refused() {
        let error = check("catalog", &[]).unwrap_err();
        assert!(error.starts_with("this process has no gateway and no fleet.internal_listen"), "{error}");
        assert!(check("ai", &FLEET[..3]).unwrap_err().contains("share one bus: set nats.url, or database.url"));
        let unknown = [&FLEET[..], &[("fleet.endpoints.catalogue", "http://127.0.0.1:9001")]].concat();
        assert!(check("ai", &unknown).unwrap_err().starts_with("fleet.endpoints.catalogue: `catalogue` is not a role"));
    }
}
