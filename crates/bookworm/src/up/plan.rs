//! Which processes a fleet has, and what each is told.

use std::{ffi::OsString, net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use bookworm_config::Settings;
use bookworm_node::Role;

use super::engines::{Engine, free_address};

/// How long a process waits for those that it needs: all start at once, and share the machine.
const START_WAIT_SECONDS: u64 = 240;

/// A fleet on this machine.
#[derive(Debug)]
pub struct Plan {
    /// Settings that every process has, and `init` and other commands too: key and value.
    pub shared: Vec<(&'static str, String)>,
    /// What only commands need beside it.
    pub of_commands: Vec<(&'static str, String)>,
    /// The processes, by role and number.
    pub processes: Vec<Process>,
    /// Where people find the shop, with a slash at the end.
    pub shop: String,
    /// Where further gateways answer.
    pub other_gateways: Vec<SocketAddr>,
}

/// One process of the shop.
#[derive(Debug)]
pub struct Process {
    /// What the log and the registry call it, such as `catalog-1`.
    pub name: String,
    pub role: Role,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(String, String)>,
}

/// The processes that the settings ask for.
fn wanted(settings: &Settings) -> anyhow::Result<Vec<(Role, u32)>> {
    for name in settings.up.roles.keys() {
        let _: Role = name.parse().with_context(|| format!("up.roles.{name}"))?;
    }
    let of = |role: Role| (1..=settings.up.processes(role.name())).map(move |number| (role, number));
    Ok(Role::ALL.into_iter().flat_map(of).collect())
}

/// Their names.
///
/// # Errors
/// When the settings name a role that there is not.
pub fn names(settings: &Settings) -> anyhow::Result<Vec<String>> {
    Ok(wanted(settings)?.into_iter().map(|(role, number)| format!("{role}-{number}")).collect())
}

/// Says what each process is told.
///
/// # Errors
/// When the settings make no fleet.
pub fn make(settings: &Settings, engines: &[Engine], folder: &Path, file: Option<&Path>) -> anyhow::Result<Plan> {
    let started = |key: &str| engines.iter().any(|engine| engine.setting.0 == key);
    check(settings, started)?;
    let any_port = settings.listen.port() == 0;
    let listen = if any_port { free_address()? } else { settings.listen };
    let mut shared: Vec<(&'static str, String)> = engines.iter().map(|engine| engine.setting.clone()).collect();
    let shop = match &settings.public_url {
        Some(url) => url.to_string(),
        None => {
            let url = format!("http://{listen}/");
            shared.push(("public_url", url.clone()));
            url
        }
    };
    if settings.fleet.token.is_none() && settings.fleet.token_file.is_none() {
        shared.push(("fleet.token_file", folder.join("fleet-token").display().to_string()));
    }
    let file = file.map(std::path::absolute).transpose().context("the file with settings has no absolute path")?;
    // Where commands such as `bookworm trace` ask; it gathers from the others.
    let operators = ("fleet.operations_listen", free_address()?.to_string());
    let (mut processes, mut other_gateways) = (Vec::new(), Vec::new());
    for (role, number) in wanted(settings)? {
        let name = format!("{role}-{number}");
        let mut own = vec![
            ("fleet.instance", name.clone()),
            ("fleet.internal_listen", "127.0.0.1:0".to_owned()),
            ("fleet.operations_listen", "127.0.0.1:0".to_owned()),
            ("fleet.start_wait_seconds", settings.fleet.start_wait_seconds.max(START_WAIT_SECONDS).to_string()),
        ];
        if role == Role::Gateway && number == 1 {
            own.retain(|(key, _)| *key != operators.0);
            own.push(operators.clone());
        }
        if role == Role::Gateway {
            let address = match number {
                1 => listen,
                _ if any_port => free_address()?,
                _ => next(listen, number - 1)?,
            };
            if number > 1 {
                other_gateways.push(address);
            }
            own.push(("listen", address.to_string()));
        }
        let mut arguments: Vec<OsString> = vec!["serve".into(), "--roles".into(), role.name().into()];
        arguments.extend(["--data-dir".into(), folder.join(&name).into_os_string()]);
        if let Some(file) = &file {
            arguments.extend(["--config".into(), file.clone().into_os_string()]);
        }
        let variables = shared.iter().cloned().chain(own).map(|(key, value)| (variable(key), value)).collect();
        processes.push(Process { name, role, arguments, variables });
    }
    Ok(Plan { shared, of_commands: vec![operators], processes, shop, other_gateways })
}

/// What makes several processes a shop.
fn check(settings: &Settings, started: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let named = [
        ("nats", "nats.url", settings.nats.url.is_some()),
        ("postgres", "database.url", settings.database.url.is_some()),
        ("redis", "redis.url", settings.redis.url.is_some()),
        ("ferretdb", "mongodb.url", settings.mongodb.url.is_some()),
    ];
    for (program, url, named) in named {
        if named && started(url) {
            bail!("up.{program} would start an engine, and {url} names one that runs already: set one of them");
        }
    }
    let there = |url: &str| started(url) || named.iter().any(|(_, key, named)| *key == url && *named);
    for (url, program, what) in [
        ("nats.url", "nats = \"nats-server\"", "the processes of a fleet find each other in NATS"),
        ("database.url", "postgres = \"postgres\"", "the processes of a fleet share one PostgreSQL"),
    ] {
        if !there(url) {
            bail!("{what}: set {url}, or have one started with `{program}` in the section [up]");
        }
    }
    // On a NATS of its own nobody else can have the role that one of these needs. Keys for access tokens are identity's.
    let has = |role: &Role| settings.up.processes(role.name()) > 0;
    if started("nats.url") {
        for role in Role::ALL.into_iter().filter(has) {
            let mut asked = role.asks().iter().chain([&Role::Identity]);
            if let Some(missing) = asked.find(|asked| !has(asked)) {
                bail!("up.roles: {role} needs {missing}, of which there is to be no process");
            }
        }
    }
    if settings.up.processes(Role::Chat.name()) > 1 && !there("redis.url") {
        bail!(
            "several processes of chat hear of each other through Redis: set redis.url, or have one started with \
             `redis = \"redis-server\"` in the section [up]"
        );
    }
    Ok(())
}

/// The address of a further gateway: a later port.
fn next(listen: SocketAddr, later: u32) -> anyhow::Result<SocketAddr> {
    let port = u32::from(listen.port()) + later;
    let port = u16::try_from(port).with_context(|| format!("there is no port {port} for a further gateway"))?;
    Ok((listen.ip(), port).into())
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("BOOKWORM_{}", key.to_uppercase().replace('.', "__"))
}

#[cfg(test)]
mod tests {
    use bookworm_config::Sources;

    use super::*;

    const ENGINES: [(&str, &str); 3] = [
        ("nats.url", "nats://127.0.0.1:1"),
        ("database.url", "postgres://127.0.0.1/shop"),
        ("redis.url", "redis://127.0.0.1:2"),
    ];

    fn plan(values: &[(&str, &str)]) -> Result<Plan, String> {
        let sources = values.iter().fold(Sources::new(), |sources, (key, value)| sources.set("a test", key, *value));
        let settings = Settings::load(sources).map_err(|error| error.to_string())?;
        make(&settings, &[], Path::new("/data"), Some(Path::new("/etc/fleet.toml")))
            .map_err(|error| format!("{error:#}"))
    }

    fn value<'a>(process: &'a Process, variable: &str) -> Option<&'a str> {
        process.variables.iter().find(|(name, _)| name == variable).map(|(_, value)| &**value)
    }

    #[test]
    fn every_role_has_as_many_processes_as_were_asked_for_and_each_its_own_name_folder_and_address() {
        let asked = [("up.each", "2"), ("up.roles.ai", "1"), ("up.roles.monitor", "0")];
        let plan = plan(&[&ENGINES[..], &asked].concat()).unwrap();
        let names: Vec<&str> = plan.processes.iter().map(|process| &*process.name).collect();
        assert_eq!(&names[..3], ["ai-1", "catalog-1", "catalog-2"]);
        assert_eq!(names.len(), 1 + 10 * 2);
        let gateways: Vec<_> = plan.processes.iter().filter(|process| process.role == Role::Gateway).collect();
        assert_eq!(value(gateways[0], "BOOKWORM_LISTEN"), Some("127.0.0.1:8080"));
        assert_eq!(value(gateways[1], "BOOKWORM_LISTEN"), Some("127.0.0.1:8081"));
        assert_eq!(plan.shop, "http://127.0.0.1:8080/");
        let arguments: Vec<&str> = gateways[1].arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
        assert_eq!(
            arguments,
            ["serve", "--roles", "gateway", "--data-dir", "/data/gateway-2", "--config", "/etc/fleet.toml"]
        );
        for process in &plan.processes {
            assert_eq!(value(process, "BOOKWORM_FLEET__INSTANCE"), Some(&*process.name));
            assert_eq!(value(process, "BOOKWORM_FLEET__TOKEN_FILE"), Some("/data/fleet-token"));
            assert_eq!(value(process, "BOOKWORM_PUBLIC_URL"), Some("http://127.0.0.1:8080/"));
        }
    }

    /// What is said to a process must be a setting, and together they must be valid.
    #[test]
    fn what_a_process_is_told_can_be_read() {
        let plan = plan(&ENGINES).unwrap();
        for process in plan.processes {
            let sources =
                ENGINES.iter().fold(Sources::new(), |sources, (key, value)| sources.set("a test", key, *value));
            let settings = Settings::load(sources.variables(process.variables)).unwrap();
            assert!(settings.fleet.has_others(), "{}", process.name);
        }
    }

    #[test]
    fn what_is_no_fleet_is_refused_in_words() {
        for (values, words) in [
            (&[][..], "find each other in NATS: set nats.url, or"),
            (&ENGINES[..1], "share one PostgreSQL: set database.url, or"),
            (&[ENGINES[0], ENGINES[1], ("up.roles.chat", "2")], "several processes of chat"),
            (&[ENGINES[0], ENGINES[1], ("up.roles.catalogue", "2")], "up.roles.catalogue: `catalogue` is not a role"),
        ] {
            let refused = plan(values).expect_err(words);
            assert!(refused.contains(words), "{refused}");
        }
        let settings = Settings::load(Sources::new().set("a test", "nats.url", "nats://127.0.0.1:1")).unwrap();
        let both = check(&settings, |key| key == "nats.url").unwrap_err().to_string();
        assert!(both.starts_with("up.nats would start an engine, and nats.url names one"), "{both}");
        let without = ENGINES.iter().skip(1).chain(&[("up.roles.basket", "0")]);
        let sources = without.fold(Sources::new(), |sources, (key, value)| sources.set("a test", key, *value));
        let settings = Settings::load(sources).unwrap();
        let alone = check(&settings, |key| key == "nats.url").unwrap_err().to_string();
        assert_eq!(alone, "up.roles: identity needs basket, of which there is to be no process");
        assert!(check(&settings, |_| false).unwrap_err().to_string().contains("in NATS"));
    }
}
