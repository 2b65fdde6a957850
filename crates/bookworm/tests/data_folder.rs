//! The real program and its data folder, as an operator meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const DATABASES: [&str; 10] =
    ["bus", "catalog", "basket", "ordering", "rating", "identity", "finance", "sandbox", "notification", "chat"];

fn bookworm(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookworm"));
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_clear()
        .env("BOOKWORM_AI__PROVIDER", "off")
        .env("BOOKWORM_IDENTITY__ARGON2__MEMORY_KIB", "64")
        .env("BOOKWORM_IDENTITY__ARGON2__ITERATIONS", "1")
        .stdin(Stdio::null());
    command
}

/// A running shop; killed when it is dropped.
struct Running(Child);

impl Running {
    /// Starts it and waits until it listens.
    fn start(data: &Path, more: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--no-demo"], more].concat();
        let mut child = bookworm(data, &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with("listening on http://"), "{first:?}");
        Self(child)
    }

    fn stop(mut self) {
        let terminated = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(terminated.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A start that is refused; what it says.
fn refused(data: &Path, more: &[&str]) -> String {
    let arguments = [&["serve", "--listen", "127.0.0.1:0", "--no-demo"], more].concat();
    let output = bookworm(data, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Everything in a folder that others may read, by its path.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if mode(&path) & 0o077 != 0 {
            found.push(path.display().to_string());
        }
        if path.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

#[test]
fn nobody_else_can_read_the_data_not_even_what_sqlite_adds() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let shop = Running::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    assert!(data.join("identity.db-wal").exists(), "SQLite has a log beside the running database");
    assert_eq!(open_to_others(&data), Vec::<String>::new());
    shop.stop();
    // As a release that took less care left it.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["identity.db", "web-secret"] {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let shop = Running::start(&data, &[]);
    assert_eq!((mode(&data), open_to_others(&data)), (0o700, Vec::new()));
    shop.stop();
}

#[test]
fn a_database_that_is_missing_is_never_made_anew_in_silence() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Running::start(&data, &[]).stop();
    for name in DATABASES {
        let (file, away) = (data.join(format!("{name}.db")), data.join("away"));
        fs::rename(&file, &away).unwrap();
        for _ in 0..2 {
            let printed = refused(&data, &[]);
            assert!(printed.contains(&format!("the database {name} is missing")), "{printed}");
            assert!(printed.contains(&format!("--recreate {name}")), "it names the way back: {printed}");
        }
        assert!(!file.exists(), "{name} is not made by a start that was refused");
        fs::rename(&away, &file).unwrap();
    }
    let printed = refused(&data, &["--recreate", "orders"]);
    assert!(printed.contains("no such database") && printed.contains("ordering"), "{printed}");
    // Emptied is as good as gone.
    fs::write(data.join("basket.db"), "").unwrap();
    assert!(refused(&data, &[]).contains("the database basket is missing"));
    Running::start(&data, &["--recreate", "basket"]).stop();
    Running::start(&data, &[]).stop();
}

#[test]
fn the_list_of_databases_itself_is_missed() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Running::start(&data, &[]).stop();
    fs::remove_file(data.join("shop.db")).unwrap();
    assert!(refused(&data, &[]).contains("--recreate shop"));
    Running::start(&data, &["--recreate", "shop"]).stop();
    fs::remove_file(data.join("finance.db")).unwrap();
    assert!(refused(&data, &[]).contains("the database finance is missing"), "the new list knows what was there");
}

#[test]
fn a_database_of_another_shop_is_refused_and_can_be_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (home.path().join("ours"), home.path().join("theirs"));
    for data in [&ours, &theirs] {
        Running::start(data, &[]).stop();
    }
    fs::copy(theirs.join("ordering.db"), ours.join("ordering.db")).unwrap();
    let printed = refused(&ours, &[]);
    assert!(printed.contains("the database ordering") && printed.contains("belongs to another shop"), "{printed}");
    Running::start(&ours, &["--recreate", "ordering"]).stop();
    let aside = fs::read_dir(&ours).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(aside.filter(|name| name.starts_with("ordering.db.set-aside-")).count(), 1, "nothing is thrown away");
}

#[test]
fn a_shop_of_a_release_without_the_list_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Running::start(&data, &[]).stop();
    // What such a release leaves: databases without a list and without marks.
    fs::remove_file(data.join("shop.db")).unwrap();
    for name in DATABASES {
        let file = data.join(format!("{name}.db"));
        let sqlite = rusqlite::Connection::open(&file).unwrap();
        sqlite.execute_batch("DROP TABLE shop_mark").unwrap();
    }
    Running::start(&data, &[]).stop();
    fs::remove_file(data.join("chat.db")).unwrap();
    assert!(refused(&data, &[]).contains("the database chat is missing"));
}

#[test]
fn commands_that_read_refuse_a_folder_that_is_no_shop() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for command in [&["reconcile"][..], &["replay", "orders"]] {
        let typo = home.path().join("typo");
        let output = bookworm(&typo, command).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", text(&output));
        assert!(text(&output).contains("there is no data folder"), "{}", text(&output));
        assert!(!typo.exists(), "nothing is made");
        let output = bookworm(home.path(), command).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", text(&output));
        assert!(text(&output).contains("there is no shop in"), "{}", text(&output));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is made");
        let mode = fs::metadata(home.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "a folder of somebody else's is not closed");
        assert_eq!(text(&output).lines().count(), 1, "one line says so: {}", text(&output));
    }
    let missing = home.path().join("missing.csv");
    let output = bookworm(&home.path().join("typo"), &["import", missing.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("missing.csv"), "{}", text(&output));
    assert!(!home.path().join("typo").exists(), "no shop is made for a file that is not there");
    let data = home.path().join("data");
    Running::start(&data, &[]).stop();
    let output = bookworm(&data, &["reconcile"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        text(&output),
        "0 orders, 0 payments and 0 ledger transactions: all agree\n",
        "and nothing else is printed"
    );
}

#[test]
fn a_second_shop_on_the_same_folder_is_refused_also_without_its_lock_file() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let _shop = Running::start(&data, &[]);
    assert!(refused(&data, &[]).contains("another bookworm is running"));
    fs::remove_file(data.join("lock")).unwrap();
    assert!(refused(&data, &[]).contains("another bookworm is running"));
}

#[test]
fn config_says_where_each_value_is_from() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("shop.toml");
    fs::write(&file, "[web]\nshop_name = \"Quire\"\n[[ordering.tax]]\ncountry = \"DE\"\nrate_basis_points = 700\n")
        .unwrap();
    let output = bookworm(&home.path().join("data"), &["config", "--config", file.to_str().unwrap()])
        .env("BOOKWORM_GATEWAY__CONCURRENCY", "7")
        .output()
        .unwrap();
    let printed = text(&output);
    assert!(output.status.success(), "{printed}");
    for line in [
        format!("shop_name = \"Quire\"  # file {}", file.display()),
        "concurrency = 7  # environment BOOKWORM_GATEWAY__CONCURRENCY".to_owned(),
        "listen = \"127.0.0.1:8080\"  # default".to_owned(),
        "# public_url = not set: the address under which customers reach the shop".to_owned(),
        "# url = not set: postgres://user:password@host/database; until then SQLite files in data_dir".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n--\n{printed}");
    }
    assert!(printed.contains("data_dir = ") && printed.contains("# flag --data-dir"), "{printed}");
    // What it prints can be read back.
    fs::write(&file, printed.replace("********", "x-secret-of-16-letters")).unwrap();
    let again = bookworm(&home.path().join("data"), &["config", "--config", file.to_str().unwrap()]).output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
}

#[test]
fn help_is_wrapped_to_the_terminal() {
    let output = bookworm(Path::new("unused"), &["--help"]).env("COLUMNS", "80").output().unwrap();
    let printed = text(&output);
    let prose: Vec<&str> = printed.lines().take_while(|line| !line.starts_with("Usage")).collect();
    assert!(prose.iter().all(|line| line.chars().count() <= 100), "{printed}");
    assert!(printed.contains("bookworm serve") && !printed.contains("verbatim"), "{printed}");
    let roles = text(&bookworm(Path::new("unused"), &["serve", "--help"]).output().unwrap());
    assert!(roles.contains("ordering") && roles.contains("Examples:"), "{roles}");
}

#[test]
fn a_shop_misses_conversations_that_are_not_where_the_settings_say() {
    let Some(url) = bookworm_testing::mongodb_url() else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = [bookworm_testing::mongodb_database(), bookworm_testing::mongodb_database()];
    let configs = names.map(|name| {
        let file = folder.path().join(format!("{name}.toml"));
        fs::write(&file, format!("[mongodb]\nurl = {url:?}\ndatabase = {name:?}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let (mongodb, elsewhere) = (["--config", &configs[0]], ["--config", &configs[1]]);
    let before = folder.path().join("before");
    Running::start(&before, &[]).stop();
    let left = refused(&before, &mongodb);
    assert!(left.contains("has its conversations in its database chat"), "{left}");
    Running::start(&before, &[]).stop();

    let data = folder.path().join("data");
    Running::start(&data, &mongodb).stop();
    assert!(!data.join("chat.db").exists());
    let unset = refused(&data, &[]);
    assert!(unset.contains("conversations are in MongoDB, and mongodb.url is not set"), "{unset}");
    let empty = refused(&data, &elsewhere);
    assert!(empty.contains("is empty, while this shop has had its store chat-mongodb there"), "{empty}");
    let other = refused(&folder.path().join("other"), &mongodb);
    assert!(other.contains("belongs to another shop"), "{other}");
    Running::start(&data, &mongodb).stop();
    Running::start(&data, &["--config", &configs[1], "--recreate", "chat-mongodb"]).stop();
    Running::start(&data, &elsewhere).stop();

    let nowhere = folder.path().join("nowhere.toml");
    fs::write(&nowhere, "[mongodb]\nurl = \"mongodb://127.0.0.1:1\"\nconnect_timeout_seconds = 1\n").unwrap();
    let away = refused(&data, &["--config", nowhere.to_str().unwrap()]);
    assert!(away.contains("MongoDB at 127.0.0.1:1 does not answer"), "{away}");
}
