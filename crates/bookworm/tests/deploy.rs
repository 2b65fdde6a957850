//! What `deploy/` says to the program is what the program understands. That the files are well-formed is checked by
//! `scripts/test-deploy`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use bookworm_config::{Settings, Sources};
use bookworm_node::Role;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// Files that tell the program something.
fn files() -> Vec<(PathBuf, String)> {
    let folders = ["systemd", "compose", "kubernetes", ""].map(|name| deploy().join(name));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The values below this line of a block scalar.
fn block<'a>(text: &'a str, head: &str) -> String {
    let (_, rest) = text.split_once(head).unwrap();
    let lines = rest.lines().skip(1).take_while(|line| line.is_empty() || line.starts_with("    "));
    let lines: Vec<&'a str> = lines.map(str::trim_start).collect();
    lines.join("\n")
}

fn load(toml: &str, more: &[(&str, &str)]) -> Settings {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), toml).unwrap();
    let sources =
        more.iter().fold(Sources::new().file(file.path()), |sources, (key, value)| sources.set("a test", key, *value));
    Settings::load(sources).unwrap_or_else(|error| panic!("{error}: {toml}"))
}

fn kubernetes() -> Settings {
    load(
        &block(&read("kubernetes/bookworm.yaml"), "bookworm.toml: |"),
        &[
            ("fleet.token", "0123456789abcdef0123456789abcdef"),
            ("fleet.internal_listen", "0.0.0.0:9000"),
            ("fleet.advertise", "http://10.0.0.5:9000"),
        ],
    )
}

/// `kubernetes/roles.yaml` is the template, once for each role: `UPDATE_DEPLOY=1` writes it.
#[test]
fn every_role_has_its_deployment_and_its_disruption_budget() {
    let template = read("kubernetes/role.yaml.template");
    let head =
        "# Made from role.yaml.template, once for each role: UPDATE_DEPLOY=1 cargo test --workspace --test deploy\n";
    let roles: String = Role::ALL.iter().map(|role| template.replace("{{role}}", role.name())).collect();
    let wanted = format!("{head}{roles}");
    let path = deploy().join("kubernetes/roles.yaml");
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == wanted, "{head}");
    let compose = read("compose/compose.yaml");
    for role in Role::ALL {
        let service = format!("\n  {role}:\n    <<: *role\n    command: [\"{role}\"");
        assert!(compose.contains(&service), "{role} has no service in compose.yaml");
    }
}

#[test]
fn every_variable_is_a_setting() {
    let mut seen = 0;
    for (path, text) in files() {
        for (place, _) in text.match_indices("BOOKWORM_") {
            let name: String = text[place..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            seen += 1;
            let loaded = Settings::load(Sources::new().variables([(name.clone(), "1".to_owned())]));
            // The value may be wrong, or others be missing: the key must be known.
            let unknown = loaded.is_err_and(|error| error.to_string().contains("unknown key"));
            let passed_over = !name.contains("__") && name != "BOOKWORM_PUBLIC_URL" && name != "BOOKWORM_LISTEN";
            assert!(!unknown && !passed_over, "{}: {name} is no setting", path.display());
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn files_with_settings_can_be_read() {
    let example = Settings::load(Sources::new().file(deploy().join("fleet.toml"))).unwrap();
    assert!(example.up.nats.is_some() && example.up.postgres.is_some() && example.up.redis.is_some());
    assert!(example.up.roles.keys().all(|role| role.parse::<Role>().is_ok()), "{:?}", example.up.roles);
    let machines = Settings::load(Sources::new().file(deploy().join("bookworm.toml"))).unwrap();
    assert!(machines.fleet.token_file.is_some());
    assert!(!machines.demo && !kubernetes().demo, "a real shop begins empty");
}

/// An orchestrator kills later than the program ends by itself, and asks where the program answers.
#[test]
fn probes_and_graces_fit_the_program() {
    let settings = kubernetes();
    let template = read("kubernetes/role.yaml.template");
    let number = |text: &str, key: &str| -> u64 {
        let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("{key}"));
        rest.chars().skip_while(|c| *c == ' ').take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    let grace = settings.shutdown_grace_seconds;
    assert!(number(&template, "terminationGracePeriodSeconds:") > grace);
    assert!(number(&read("compose/compose.yaml"), "stop_grace_period:") > Settings::default().shutdown_grace_seconds);
    for unit in ["systemd/bookworm@.service", "systemd/bookworm.service"] {
        assert!(number(&read(unit), "TimeoutStopSec=") > grace, "{unit}");
    }
    // Draining must be noticed: the readiness probe fails within it.
    assert!(
        number(
            &template,
            "readinessProbe:\n            httpGet: {path: /health/ready, port: operations}\n            periodSeconds:"
        ) * 2
            <= settings.fleet.drain_seconds
    );
    let operations = settings.fleet.operations_listen.unwrap();
    assert!(template.contains(&format!("{{name: operations, containerPort: {}}}", operations.port())));
    assert_eq!(template.matches("port: operations}").count(), 3, "{template}");
    for path in template.match_indices("httpGet: {path: ").map(|(place, head)| &template[place + head.len()..]) {
        let path = path.split(',').next().unwrap();
        assert!(["/health/live", "/health/ready"].contains(&path), "{path}");
    }
    let startup = number(&template, "failureThreshold:") * 2;
    assert!(startup > settings.fleet.start_wait_seconds, "a start that waits for others is not killed");
}

/// No file carries a secret, and all name the same release.
#[test]
fn images_are_of_this_release_and_secrets_are_elsewhere() {
    for (path, text) in files() {
        for (place, name) in text.match_indices("bookworm:0") {
            let rest = &text[place + name.len() - 1..];
            assert!(rest.starts_with(env!("CARGO_PKG_VERSION")), "{}", path.display());
        }
    }
    assert!(!read("kubernetes/bookworm.yaml").contains("kind: Secret"));
}
