//! Dependencies point one way, and every error code has its page.

use std::path::{Path, PathBuf};

use bookworm_kernel::ErrorCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The floors of the house, lowest first. A crate leans only on lower floors; on the floor `platform` crates may lean
/// on each other, on `services` never.
fn floor(path: &str) -> usize {
    match path {
        "crates/kernel" => 0,
        path if path.starts_with("crates/platform/") => 1,
        "crates/contracts" => 2,
        path if path.starts_with("crates/services/") => 3,
        "crates/node" => 4,
        "crates/bookworm" | "crates/testkit" => 5,
        "bench" => 6,
        other => panic!("{other} has no floor: give it one here and in ARCHITECTURE.md"),
    }
}

const PLATFORM: usize = 1;

#[test]
fn dependencies_point_one_way() {
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let dependencies = workspace["workspace"]["dependencies"].as_table().unwrap();
    let path_of = |name: &str| dependencies.get(name)?.get("path")?.as_str().map(str::to_owned);
    let mut crates: Vec<String> = dependencies.keys().filter_map(|name| path_of(name)).collect();
    crates.extend(["crates/bookworm".to_owned(), "bench".to_owned()]);
    assert!(crates.len() > 15, "the crates of the workspace were not found");

    let mut wrong = Vec::new();
    for path in &crates {
        let manifest: toml::Table =
            std::fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap().parse().unwrap();
        let Some(needs) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        for needed in needs.keys().filter_map(|name| path_of(name)) {
            let (from, to) = (floor(path), floor(&needed));
            if to > from || (to == from && from != PLATFORM) {
                wrong.push(format!("{path} leans on {needed}"));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies that point the wrong way:\n{}", wrong.join("\n"));
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
