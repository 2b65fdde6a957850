//! `bookworm init`: what is missing is made, what is there stays, and what cannot be used is said.

use std::{os::unix::fs::PermissionsExt, path::Path};

use tokio::process::Command;

/// What it prints, and what it complains of.
async fn init(folder: &Path, settings: &[(&str, &str)]) -> (String, String, bool) {
    let ran = Command::new(env!("CARGO_BIN_EXE_bookworm"))
        .arg("init")
        .arg("--data-dir")
        .arg(folder.join("data"))
        .env("BOOKWORM_FLEET__TOKEN_FILE", folder.join("token"))
        .envs(settings.iter().copied())
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&ran.stdout), text(&ran.stderr), ran.status.success())
}

#[tokio::test]
async fn an_installation_is_made_once_and_found_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let (made, complaints, done) = init(folder.path(), &[]).await;
    assert!(done, "{made}{complaints}");
    for words in [
        "made   the fleet's secret: ",
        "made   database catalog: ",
        "made   database ordering: ",
        "made   an administrator, whose password follows",
        "made   645 demonstration books",
        "administrator admin@bookworm.example has the password ",
    ] {
        assert!(made.contains(words), "{words}: {made}");
    }
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    assert_eq!(std::fs::metadata(folder.path().join("token")).unwrap().permissions().mode() & 0o777, 0o600);

    let (found, complaints, done) = init(folder.path(), &[]).await;
    assert!(done, "{found}{complaints}");
    assert!(!found.contains("made ") && !found.contains("password"), "{found}");
    assert_eq!(made.matches("database ").count(), found.matches("up to date (").count(), "{found}");
    assert!(found.contains("found  an administrator\nfound  books\n"), "{found}");
    assert_eq!(std::fs::read_to_string(folder.path().join("token")).unwrap(), token);
}

#[tokio::test]
async fn what_the_settings_say_is_made_and_no_password_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("BOOKWORM_ADMIN__EMAIL", "owner@shop.test"),
        ("BOOKWORM_ADMIN__PASSWORD", "a long admin password"),
        ("BOOKWORM_DEMO", "false"),
    ];
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(folder.path().join("token"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (made, complaints, done) = init(folder.path(), &settings).await;
    assert!(done, "{made}{complaints}");
    assert!(made.contains("made   the administrator owner@shop.test, with the password of admin.password"), "{made}");
    assert!(!made.contains("a long admin password") && !made.contains("books"), "{made}");
    assert!(made.contains("which others than its owner can read"), "{made}");
}

#[tokio::test]
async fn an_engine_that_is_away_is_named_and_nothing_is_made() {
    for (settings, words) in [
        (
            &[("BOOKWORM_NATS__URL", "nats://127.0.0.1:1"), ("BOOKWORM_NATS__CONNECT_TIMEOUT_SECONDS", "1")][..],
            "bookworm: no connection to NATS at 127.0.0.1:1 within 1 s",
        ),
        (
            &[("BOOKWORM_REDIS__URL", "redis://127.0.0.1:1"), ("BOOKWORM_REDIS__CONNECT_TIMEOUT_SECONDS", "1")],
            "bookworm: Redis, which the section [redis] names, cannot be used: it does not answer",
        ),
        (
            &[
                ("BOOKWORM_DATABASE__URL", "postgres://x@127.0.0.1:1/x"),
                ("BOOKWORM_DATABASE__CONNECT_TIMEOUT_SECONDS", "1"),
            ],
            "bookworm: PostgreSQL, which database.url names, cannot be used",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (shown, complaints, done) = init(folder.path(), settings).await;
        assert!(!done && complaints.contains(words), "{shown}{complaints}");
        assert!(!folder.path().join("data").exists(), "{words}");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "short").unwrap();
    let (_, complaints, done) = init(folder.path(), &[]).await;
    assert!(!done && complaints.contains("must hold 32 to 255 visible ASCII characters"), "{complaints}");
}
