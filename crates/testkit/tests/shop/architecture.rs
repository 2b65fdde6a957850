//! Dependencies point one way, between crates and inside a service, and every error code has its page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bookworm_kernel::ErrorCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The layer of a crate, 0 is the lowest. A crate depends only on lower layers; crates of `platform` may also depend on
/// each other, services never.
fn layer(path: &str) -> usize {
    match path {
        "crates/kernel" => 0,
        path if path.starts_with("crates/platform/") => 1,
        "crates/contracts" | TESTING => 2,
        path if path.starts_with("crates/services/") => 3,
        "crates/node" => 4,
        "crates/bookworm" | TESTKIT => 5,
        "bench" => 6,
        other => panic!("{other} has no layer: give it one here and in ARCHITECTURE.md"),
    }
}

const PLATFORM: usize = 1;
/// What tests share, and complete shops for tests.
const TESTING: &str = "crates/testing";
const TESTKIT: &str = "crates/testkit";

/// Every crate of ours, and which others of ours it names in this table of its manifest.
fn named_in(table: &str) -> Vec<(String, Vec<String>)> {
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let dependencies = workspace["workspace"]["dependencies"].as_table().unwrap();
    let path_of = |name: &str| dependencies.get(name)?.get("path")?.as_str().map(str::to_owned);
    let mut crates: Vec<String> = dependencies.keys().filter_map(|name| path_of(name)).collect();
    crates.extend(["crates/bookworm".to_owned(), "bench".to_owned()]);
    assert!(crates.len() > 15, "the crates of the workspace were not found");
    let named = |path: String| {
        let manifest = std::fs::read_to_string(root().join(&path).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let needs = manifest.get(table).and_then(toml::Value::as_table);
        let ours = needs.into_iter().flatten().filter_map(|(name, _)| path_of(name)).collect();
        (path, ours)
    };
    crates.into_iter().map(named).collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (path, needs) in named_in("dependencies") {
        for needed in needs {
            let (from, to) = (layer(&path), layer(&needed));
            let is_for_tests = needed == TESTING && path != TESTKIT || needed == TESTKIT && path != "bench";
            if to > from || (to == from && from != PLATFORM) || is_for_tests {
                wrong.push(format!("{path} depends on {needed}"));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn tests_too_look_only_down() {
    let mut wrong = Vec::new();
    for (path, needs) in named_in("dev-dependencies") {
        for needed in needs {
            let (from, to) = (layer(&path), layer(&needed));
            // What tests share may be used in every layer, complete shops only from their own layer up.
            let is_for_tests = needed == TESTING || needed == TESTKIT && from >= layer(TESTKIT);
            if !(to < from || to == from && from == PLATFORM || needed == path || is_for_tests) {
                wrong.push(format!("the tests of {path} depend on {needed}"));
            }
        }
    }
    assert!(wrong.is_empty(), "tests that depend on what is beside or above them: {wrong:#?}");
}

#[test]
fn the_signalr_server_stands_alone() {
    let manifest: toml::Table =
        std::fs::read_to_string(root().join("crates/platform/signalr/Cargo.toml")).unwrap().parse().unwrap();
    for table in ["dependencies", "dev-dependencies"] {
        let needs = manifest[table].as_table().unwrap();
        let ours: Vec<_> = needs.keys().filter(|name| name.starts_with("bookworm")).collect();
        assert!(ours.is_empty(), "it is for everybody, and needs nothing of ours: {ours:?}");
    }
}

#[test]
fn one_crate_knows_the_drivers_of_databases() {
    let mut crates = Vec::new();
    for folder in ["crates", "crates/platform", "crates/services"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        crates.extend(entries.filter(|path| path.join("Cargo.toml").exists()));
    }
    crates.push(root().join("bench"));
    assert!(crates.len() > 20, "the crates of the workspace were not found");
    let mut knows = Vec::new();
    for path in crates {
        let manifest: toml::Table = std::fs::read_to_string(path.join("Cargo.toml")).unwrap().parse().unwrap();
        // Tests may look into a file with a driver.
        let Some(needs) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        if needs.keys().any(|name| name.contains("sql")) {
            knows.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(knows, ["db"], "what else talks to a database goes through bookworm-db");
}

#[test]
fn the_domain_does_no_io() {
    let mut wrong = Vec::new();
    let services = std::fs::read_dir(root().join("crates/services")).unwrap();
    for service in services.map(|entry| entry.unwrap().path()) {
        for file in rust_files(&service.join("src/domain")) {
            let text = std::fs::read_to_string(&file).unwrap();
            for forbidden in
                ["async fn", ".await", "bookworm_db", "axum::", "tokio::", "sqlx", "rusqlite", "std::fs", "std::net"]
            {
                if text.contains(forbidden) {
                    wrong.push(format!("{}: {forbidden}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "the domain must be pure:\n{}", wrong.join("\n"));
}

/// Rust code without the lines that are comments.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n")
}

/// The modules of its own crate that a file names: `a` and `b` in `use crate::{a::X, b::{Y, Z}}` and in `crate::a::X`.
fn modules(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut named = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        // `$crate::` and `bookworm_crate::` are other crates.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + found.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            named.insert(name(rest));
            continue;
        };
        let (mut depth, mut starts_item) = (0, true);
        for (at, letter) in list.char_indices() {
            if starts_item && depth == 0 && !letter.is_whitespace() {
                named.insert(name(&list[at..]));
                starts_item = false;
            }
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts_item = true,
                _ => {}
            }
        }
    }
    named.remove("");
    named
}

#[test]
fn modules_are_found_in_every_way_to_name_them() {
    let code = "use crate::{Shop, a::{X, y::Z}, b};\nlet c = crate::c::new(); $crate::d::e!(); bookworm_crate::f();";
    assert_eq!(modules(code), ["Shop", "a", "b", "c"].map(str::to_owned).into());
}

/// The parts of a service, each with what it must not name: the arrows inside a service point from the edge inwards.
const UPWARDS: [(&str, &[&str]); 5] = [
    ("domain", &["store", "service", "clients", "features", "reactions", "grpc", "bot"]),
    ("store", &["service", "clients", "features", "reactions", "grpc", "bot"]),
    ("clients", &["service", "features", "reactions", "grpc", "bot"]),
    ("service", &["features", "reactions", "grpc"]),
    ("features", &["reactions", "grpc"]),
];

#[test]
fn no_arrow_inside_a_service_runs_back() {
    let mut wrong = Vec::new();
    let services = std::fs::read_dir(root().join("crates/services")).unwrap();
    for service in services.map(|entry| entry.unwrap().path()) {
        for (part, forbidden) in UPWARDS {
            let mut files = rust_files(&service.join("src").join(part));
            files.extend(Some(service.join(format!("src/{part}.rs"))).filter(|file| file.exists()));
            for file in files {
                for module in modules(&code(&file)) {
                    if forbidden.contains(&module.as_str()) {
                        wrong.push(format!("{} names {module}", relative(&file)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run back up inside a service: {wrong:#?}");
}

#[test]
fn the_domain_has_its_own_types() {
    let mut wrong = Vec::new();
    let services = std::fs::read_dir(root().join("crates/services")).unwrap();
    for service in services.map(|entry| entry.unwrap().path()) {
        for file in rust_files(&service.join("src/domain")) {
            let code = code(&file);
            if code.contains("bookworm_config") {
                wrong.push(format!("{} names the configuration", relative(&file)));
            }
            let is_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if code.contains("bookworm_contracts") && code.match_indices("rest::").any(|(at, _)| is_word(at)) {
                wrong.push(format!("{} names the types of the API", relative(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "the domain has types of its own: {wrong:#?}");
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn tests_are_in_files_by_topic() {
    const MOST_LINES: usize = 800;
    let mut wrong = Vec::new();
    for folder in ["crates", "bench"] {
        for file in rust_files(&root().join(folder)) {
            let path = relative(&file);
            let is_test = path.contains("/tests/") || path.ends_with("tests.rs");
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            if is_test && lines > MOST_LINES {
                wrong.push(format!("{path} has more than {MOST_LINES} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "split them by topic: {wrong:#?}");
}

#[test]
fn no_crate_includes_a_file_of_another() {
    let mut wrong = Vec::new();
    for folder in ["crates", "bench"] {
        for file in rust_files(&root().join(folder)) {
            let code = code(&file);
            let outside = code.match_indices("#[path").any(|(at, _)| {
                let line = code[at..].lines().next().unwrap_or_default();
                line.contains("../")
            });
            // This file names what it forbids.
            if outside && !file.ends_with("architecture.rs") {
                wrong.push(relative(&file));
            }
        }
    }
    assert!(wrong.is_empty(), "put what crates share into a crate: {wrong:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_path_in_the_guides_exists() {
    let mut wrong = Vec::new();
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let guides = ["ARCHITECTURE.md", "README.md"].map(|name| root().join(name));
    for file in guides.into_iter().chain(docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            if !file.parent().unwrap().join(link).exists() {
                wrong.push(format!("{} links to {link}", relative(&file)));
            }
        }
        if file.ends_with("ARCHITECTURE.md") {
            let paths = text
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|code| code.starts_with("crates/") || code.starts_with("web/"));
            for path in paths.filter(|path| !path.contains(['<', '*'])) {
                if !root().join(path).exists() {
                    wrong.push(format!("{} names {path}", relative(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_error_code_has_a_page_that_says_what_to_do() {
    let folder = root().join("docs/errors");
    let mut pages: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    pages.sort();
    let mut codes: Vec<String> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    codes.sort();
    assert_eq!(pages, codes, "docs/errors and the error codes differ");
    for code in codes {
        let text = std::fs::read_to_string(folder.join(format!("{code}.md"))).unwrap();
        assert!(text.contains("## What to do"), "{code}.md does not say what to do");
    }
}
