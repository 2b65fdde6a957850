//! `bookworm up`: a whole fleet on real engines, and nothing of it left behind.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bookworm_node::Role;
use bookworm_testing::POLL_TIMEOUT;
use bookworm_testkit::{HubClient, exchange, until};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use uuid::Uuid;

/// For two processes of each role, in a debug build, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(420);
/// The budget of a process, what `up` adds to it, and its engines.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
const ADMIN: (&str, &str) = ("admin@shop.test", "a long admin password");

/// The engines' programs, as settings; `None`, with a line that says so, where one is missing.
fn engines() -> Option<Vec<(&'static str, String)>> {
    let found = [
        ("BOOKWORM_UP__NATS", "BOOKWORM_TEST_NATS_SERVER", "scripts/with-nats"),
        ("BOOKWORM_UP__REDIS", "BOOKWORM_TEST_REDIS_SERVER", "scripts/with-redis"),
        ("BOOKWORM_UP__FERRETDB", "BOOKWORM_TEST_FERRETDB", "scripts/with-ferretdb"),
        ("BOOKWORM_UP__POSTGRES", "BOOKWORM_TEST_POSTGRES_BIN", "scripts/with-postgres"),
    ]
    .map(|(setting, variable, script)| match std::env::var(variable) {
        Ok(folder) if setting.ends_with("POSTGRES") => Some((setting, format!("{folder}/postgres"))),
        Ok(program) => Some((setting, program)),
        Err(_) => {
            assert!(std::env::var_os("CI").is_none(), "CI must test this: run {script}, or set {variable}");
            eprintln!("SKIPPED: `bookworm up` needs {script}, or {variable}");
            None
        }
    });
    found.into_iter().collect()
}

struct Fleet {
    up: Child,
    folder: tempfile::TempDir,
    /// The shop's address, and that of another gateway, if there is one.
    addresses: Vec<SocketAddr>,
}

impl Fleet {
    async fn start(file: &Path, settings: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As root PostgreSQL runs as another user, who must get through.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut up = Command::new(env!("CARGO_BIN_EXE_bookworm"))
            .arg("up")
            .arg(file)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env("BOOKWORM_LISTEN", "127.0.0.1:0")
            .env("BOOKWORM_AI__PROVIDER", "off")
            .env("BOOKWORM_DEMO", "false")
            .env("BOOKWORM_ADMIN__EMAIL", ADMIN.0)
            .env("BOOKWORM_ADMIN__PASSWORD", ADMIN.1)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        let mut addresses = Vec::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once(" is at http://") {
                    addresses.push(address.trim_end_matches('/').parse().unwrap());
                }
                if line.starts_with("see who is there with") {
                    return true;
                }
            }
            false
        };
        let ready = timeout(START_TIMEOUT, ready).await;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let fleet = Self { up, folder, addresses };
        assert_eq!(ready, Ok(true), "{}", fleet.log());
        fleet
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap()).into_owned()
    }

    /// The processes below `up`, by pid, with their command lines.
    fn processes(&self) -> BTreeMap<u32, String> {
        let mut all = BTreeMap::from([(self.up.id().unwrap(), "up".to_owned())]);
        // A child's pid may be lower than its parent's once the numbers have gone round.
        loop {
            let before = all.len();
            for pid in pids() {
                if parent(pid).is_some_and(|parent| all.contains_key(&parent)) {
                    all.insert(pid, command_line(pid));
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(STOP_TIMEOUT, self.up.wait()).await.expect("it ends").unwrap()
    }
}

fn pids() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|parent| parent.trim().parse().ok())
}

fn command_line(pid: u32) -> String {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .unwrap_or_default()
}

async fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await.unwrap().success());
}

/// Status, headers and JSON of a request with these headers.
async fn call(to: SocketAddr, head: &str, headers: &[(&str, &str)], body: &Value) -> (u16, String, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{head} HTTP/1.0\r\nhost: {to}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let answer = exchange(to, request.as_bytes()).await.expect(head);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

/// The administrator's access token.
async fn sign_in(to: SocketAddr) -> String {
    let login = json!({"grant_type": "password", "email": ADMIN.0, "password": ADMIN.1});
    let (status, _, tokens) = call(to, "POST /api/v1/identity/token", &[], &login).await;
    assert_eq!(status, 200, "{tokens}");
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Puts a book on sale: its id.
async fn book(to: SocketAddr, token: &str) -> Value {
    let book = json!({
        "title": "The Dispossessed", "authors": ["Ursula K. Le Guin"], "subjects": ["Science fiction"],
        "price": {"amount": 1299, "currency": "USD"}, "stock": 5,
    });
    let bearer = format!("Bearer {token}");
    let (status, _, book) = call(to, "POST /api/v1/books", &[("authorization", &bearer)], &book).await;
    assert_eq!(status, 201, "{book}");
    book["id"].clone()
}

/// A guest buys a copy of this book: the order.
async fn buy(from: SocketAddr, book: &Value) -> Value {
    let (status, head, added) =
        call(from, "POST /api/v1/basket/items", &[], &json!({"book_id": book, "quantity": 1})).await;
    assert_eq!(status, 200, "{added}");
    let basket = head.lines().find_map(|line| line.strip_prefix("basket-token: ")).unwrap();
    let key = Uuid::new_v4().to_string();
    let order = json!({
        "email": "ann@reader.test",
        "shipping_address": {
            "name": "Ann Reader", "line1": "1 Main Street", "city": "Portland", "region": "OR",
            "postal_code": "97201", "country": "US",
        },
        "shipping_method": "standard",
        "payment": {"token": "tok_approve"},
    });
    let headers = [("basket-token", basket), ("idempotency-key", &*key)];
    let (status, _, order) = call(from, "POST /api/v1/orders/checkout", &headers, &order).await;
    assert_eq!(status, 201, "{order}");
    order
}

/// Two customers and an agent: connections go to the instances of the chat in turn, so one of the customers is connected
/// to another instance than the agent.
async fn chat(gateways: &[SocketAddr], token: &str) {
    let [first, second] = gateways else { panic!("two gateways: {gateways:?}") };
    let mut customers = Vec::new();
    for _ in 0..2 {
        let mut customer = HubClient::connect(*first, "/hubs/chat", None).await.unwrap();
        let started = customer.invoke("StartConversation", &[json!({"name": "Ann"})]).await.unwrap();
        let id = started["conversation"]["id"].clone();
        let _ = customer.invoke("AskForPerson", &[json!({"conversation_id": id})]).await.unwrap();
        customers.push((customer, id));
    }
    let mut agent = HubClient::connect(*second, "/hubs/chat", Some(token)).await.unwrap();
    let _ = agent.invoke("SetAvailability", &[json!({"status": "away"})]).await.unwrap();
    for (customer, id) in &mut customers {
        let _ = agent.invoke("Accept", &[json!({"conversation_id": id})]).await.unwrap();
        let text = json!({"conversation_id": id, "client_message_id": Uuid::new_v4(), "text": "Hello, I am here."});
        let _ = agent.invoke("SendMessage", &[text]).await.unwrap();
        let said = customer.event_like("message", POLL_TIMEOUT, |message| message["author"] == "agent").await.unwrap();
        assert_eq!(said.unwrap()["text"], "Hello, I am here.");
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/fleet.toml")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_two_of_each_sells_and_chats_mends_itself_and_leaves_nothing_behind() {
    let Some(mut settings) = engines() else { return };
    settings.push(("BOOKWORM_UP__EACH", "2".to_owned()));
    let mut fleet = Fleet::start(&example(), &settings).await;
    let processes = fleet.processes();
    let roles = processes.values().filter(|line| line.contains(" serve --roles ")).count();
    assert_eq!(roles, 2 * Role::ALL.len(), "{processes:#?}");

    let token = sign_in(fleet.addresses[1]).await;
    let book = book(fleet.addresses[0], &token).await;
    let order = buy(fleet.addresses[0], &book).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    chat(&fleet.addresses, &token).await;

    let (catalog, _) = processes.iter().find(|(_, line)| line.contains("/catalog-1")).unwrap();
    signal("KILL", *catalog).await;
    until("it is started again", async || {
        let starts = |log: String| log.lines().filter(|line| is_of(line, "catalog-1", "answering other")).count();
        (starts(fleet.log()) == 2).then_some(())
    })
    .await;
    assert!(fleet.log().contains("catalog-1 ended: signal: 9 (SIGKILL); it is started again in 1 s"));
    assert_eq!(
        buy(fleet.addresses[1], &book).await["status"],
        "confirmed",
        "the other gateway, while one catalog starts"
    );

    let all = fleet.processes();
    signal("TERM", fleet.up.id().unwrap()).await;
    assert!(fleet.ended().await.success(), "{}", fleet.log());
    let log = fleet.log();
    assert!(log.lines().any(|line| is_of(line, "up", "stopped")) && !log.contains("is killed"), "{log}");
    let place = |words: &str| log.lines().position(|line| line.contains(words)).expect(words);
    let last_closed = log.lines().rev().position(|line| line.contains("bookworm_node::process: closed")).unwrap();
    let engines_stop = place("database system is shut down").min(place("Initiating Shutdown"));
    assert!(log.lines().count() - last_closed <= engines_stop, "engines end last: {log}");
    let left: Vec<_> = all.keys().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
    assert!(left.is_empty(), "{left:?} of {all:#?}");
}

/// Whether a line of the log is of this process and has these words.
fn is_of(line: &str, process: &str, words: &str) -> bool {
    line.split_once(" | ").is_some_and(|(name, text)| name.trim_end() == process && text.contains(words))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_it_is_killed_all_others_end() {
    let Some(settings) = engines() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[up]\neach = 0\n[up.roles]\nidentity = 1\nbasket = 1\ncatalog = 1\nnotification = 1\n",
    )
    .unwrap();
    let mut fleet = Fleet::start(file.path(), &settings).await;
    let all = fleet.processes();
    assert!(all.len() >= 9, "itself, four engines and four processes: {all:#?}");
    signal("KILL", fleet.up.id().unwrap()).await;
    fleet.ended().await;
    let left = || all.keys().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count();
    timeout(STOP_TIMEOUT, async {
        while left() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{} of them are there still: {all:#?}", left()));
}

#[tokio::test]
async fn what_cannot_be_a_fleet_is_refused_before_anything_is_started() {
    for (settings, words) in [
        (&[][..], "the processes of a fleet find each other in NATS: set nats.url, or"),
        (&[("BOOKWORM_UP__NATS", "/no/nats-server")], "up.nats: there is no program /no/nats-server"),
        (&[("BOOKWORM_UP__ROLES__CATALOGUE", "1")], "up.roles.catalogue: `catalogue` is not a role"),
        (&[("BOOKWORM_UP__EACH", "99")], "up.each: must be 0 to 16, not 99"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookworm"));
        command.arg("up").arg("--data-dir").arg(folder.path().join("data")).envs(settings.iter().copied());
        let ran = timeout(STOP_TIMEOUT, command.kill_on_drop(true).output()).await.expect(words).unwrap();
        let complaints = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && complaints.contains(words), "{complaints}");
    }
}
