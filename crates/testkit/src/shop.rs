use std::{
    collections::BTreeMap,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, AtomicU32, Ordering},
    time::Duration,
};

use axum::Router;
use bookworm_config::{Secret, Settings, Sources};
use bookworm_contracts::rest::{basket::Basket, catalog::Book, identity::TokenResponse, ordering::Order};
use bookworm_db::{Databases, Db, Pool, Sql};
use bookworm_kernel::BookId;
use bookworm_node::Shop;
use bookworm_telemetry::{LogFormat, Telemetry};
use bookworm_testing::{Browser, Client, Request, Response, until};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const FLEET_TOKEN: &str = "the-secret-of-every-fleet-under-test";
const ADMIN: (&str, &str) = ("admin@shop.test", "a long admin password");

/// Which database a shop under test stands on.
#[derive(Debug, Clone)]
pub enum Database {
    /// Files in a temporary folder.
    Sqlite,
    /// A database of its own on this server.
    Postgres(String),
}

/// Runs a test on each database there is. Says loudly when PostgreSQL is not there; with `CI=true` that fails.
///
/// # Panics
/// When the test does.
pub async fn on_every_database<F, Fut>(test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    test(Database::Sqlite).await;
    if let Some(url) = bookworm_testing::postgres_url() {
        test(Database::Postgres(url)).await;
    }
}

/// A whole shop in this process.
pub struct TestShop {
    router: Router,
    shop: Option<Shop>,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
    /// Processes with roles that the first does not have.
    others: Vec<Process>,
    /// Where it listens.
    address: Option<SocketAddr>,
    settings: Settings,
    folder: tempfile::TempDir,
    admin: String,
}

/// A part of a shop, as a process of its own.
pub struct Process {
    /// Where it answers the others.
    pub internal: Option<SocketAddr>,
    /// Where it answers operators.
    pub operations: Option<SocketAddr>,
    settings: Settings,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Process {
    fn run(shop: Shop, settings: Settings) -> Self {
        let (internal, operations) = (shop.internal_address(), shop.operations_address());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(shop.serve(stop.clone()));
        Self { internal, operations, settings, stop, serving }
    }

    /// What it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A process with the settings of one that has ended, ready to be asked.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(settings: Settings) -> Self {
        let process = Self::run(open(&settings).await, settings);
        if let Some(operations) = process.operations {
            until("it is ready", async || {
                crate::ask(operations, "/health/ready").await.filter(|(status, _)| *status == StatusCode::OK)
            })
            .await;
        }
        process
    }

    /// Ends it as a power cut does: it says nothing to anybody.
    pub async fn kill(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }

    /// Ends it in good order.
    ///
    /// # Panics
    /// When it does not end so.
    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.expect("it stops in good order");
    }
}

/// A guest's purchase, ready to be sent.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// The secret of the basket.
    pub basket: String,
    /// The Idempotency-Key.
    pub key: String,
    /// The body.
    pub body: Value,
}

impl TestShop {
    /// An empty shop with an administrator.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(database: Database) -> Self {
        Self::start_with(database, &[]).await
    }

    /// An empty shop with these settings changed: `("basket.max_lines", "3")`.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_with(database: Database, changes: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(folder.path(), &address_of(database).await, changes);
        let shop = open(&settings).await;
        Self::around(shop, settings, folder, Vec::new()).await
    }

    /// An empty shop whose roles run apart: each of these is a process of its own, as far as it can be told within one,
    /// `&["gateway", "catalog,basket", "chat", "chat"]`. They meet over the network only, on a database server, at
    /// addresses that each was given.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_apart(server: &str, processes: &[&str], changes: &[(&str, &str)]) -> Self {
        let places: Vec<String> = processes.iter().map(|_| own_address().to_string()).collect();
        let mut endpoints: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (roles, place) in processes.iter().zip(&places) {
            roles.split(',').for_each(|role| endpoints.entry(role).or_default().push(format!("http://{place}")));
        }
        let endpoints: Vec<(String, String)> =
            endpoints.into_iter().map(|(role, at)| (format!("fleet.endpoints.{role}"), at.join(","))).collect();
        let common: Vec<(&str, &str)> = endpoints.iter().map(|(key, value)| (&**key, &**value)).collect();
        let each = processes.iter().zip(&places).map(|(roles, place)| (*roles, &**place));
        Self::start_fleet(server, each, &[&common, changes].concat()).await
    }

    /// The same; they find each other in the registry of this NATS server, at whatever addresses they have.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start_announced(server: &str, nats: &str, processes: &[&str], changes: &[(&str, &str)]) -> Self {
        let stream = bookworm_testing::nats_stream();
        let common = [("nats.url", nats), ("nats.stream", &*stream), ("nats.max_mib", "8")];
        let each = processes.iter().map(|roles| (*roles, "127.0.0.1:0"));
        Self::start_fleet(server, each, &[&common, changes].concat()).await
    }

    async fn start_fleet<'a>(
        server: &str,
        processes: impl Iterator<Item = (&'a str, &'a str)>,
        changes: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = address_of(Database::Postgres(server.to_owned())).await;
        let opening = processes.enumerate().map(|(n, (roles, place))| {
            let mut all = of_a_fleet(roles, place).to_vec();
            all.extend(changes);
            let settings = settings(&folder.path().join(n.to_string()), &url, &all);
            async move { (open(&settings).await, settings) }
        });
        // All at once, as an orchestrator starts them.
        let (mut front, mut others) = (None, Vec::new());
        for (shop, settings) in futures::future::join_all(opening).await {
            match (shop.address(), &front) {
                (Some(_), None) => front = Some((shop, settings)),
                _ => others.push(Process::run(shop, settings)),
            }
        }
        let (shop, settings) = front.expect("one of them is a gateway");
        let operations = others.iter().filter_map(|other| other.operations).chain(shop.operations_address());
        let operations: Vec<SocketAddr> = operations.collect();
        let mut started = Self::unready(shop, settings, folder, others);
        // The gateway answers others only once it serves.
        started.listen();
        for address in operations {
            until("every process is ready", async || {
                crate::ask(address, "/health/ready").await.filter(|(status, _)| *status == StatusCode::OK)
            })
            .await;
        }
        started.admin = started.sign_in(ADMIN.0, ADMIN.1).await.access_token;
        started
    }

    /// Starts one more process of a fleet, with these roles, and returns its place among [`others`](Self::others).
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn join(&mut self, roles: &str) -> usize {
        let mut settings = self.settings.clone();
        settings.roles = roles.split(',').map(ToOwned::to_owned).collect();
        settings.data_dir = self.folder.path().join(Uuid::new_v4().simple().to_string());
        self.others.push(Process::run(open(&settings).await, settings));
        self.others.len() - 1
    }

    /// What a process with these roles says that cannot start.
    ///
    /// # Panics
    /// When it can.
    pub async fn refusal(database: Database, roles: &str, changes: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut all = of_a_fleet(roles, "127.0.0.1:0").to_vec();
        all.extend(changes);
        let settings = settings(folder.path(), &address_of(database).await, &all);
        let refused = Shop::open(settings, telemetry()).await.err().expect("it does not start");
        format!("{refused:#}")
    }

    /// The settings of the process with the gateway.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn around(shop: Shop, settings: Settings, folder: tempfile::TempDir, others: Vec<Process>) -> Self {
        let mut started = Self::unready(shop, settings, folder, others);
        started.admin = started.sign_in(ADMIN.0, ADMIN.1).await.access_token;
        started
    }

    fn unready(shop: Shop, settings: Settings, folder: tempfile::TempDir, others: Vec<Process>) -> Self {
        Self {
            router: shop.router(),
            shop: Some(shop),
            serving: None,
            others,
            address: None,
            settings,
            folder,
            admin: String::new(),
        }
    }

    /// The processes beside the one with the gateway, in the order in which they were named.
    pub fn others(&mut self) -> &mut Vec<Process> {
        &mut self.others
    }

    /// Stops it in good order and starts it again on the same data.
    ///
    /// # Panics
    /// When it cannot start again.
    pub async fn restart(&mut self) {
        self.stop().await;
        let shop = open(&self.settings).await;
        self.router = shop.router();
        self.shop = Some(shop);
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) {
        self.address = None;
        if let Some((stop, serving)) = self.serving.take() {
            stop.cancel();
            serving.await.expect("the shop stops in good order");
        }
        if let Some(shop) = self.shop.take() {
            let now = CancellationToken::new();
            now.cancel();
            shop.serve(now).await;
        }
        for other in self.others.drain(..) {
            other.stop().await;
        }
    }

    /// Answers over a socket too, from now on: for hubs. Stops with [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it was stopped.
    pub fn listen(&mut self) -> SocketAddr {
        if let Some(address) = self.address {
            return address;
        }
        let shop = self.shop.take().expect("the shop runs");
        let address = shop.address().expect("it has an address");
        self.address = Some(address);
        let stop = CancellationToken::new();
        self.serving = Some((stop.clone(), tokio::spawn(shop.serve(stop))));
        address
    }

    /// A database of the shop, opened beside it; `None` when the shop has none of this name.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn database(&self, name: &str) -> Option<Db> {
        let databases = match &self.settings.database.url {
            Some(url) => Databases::Postgres {
                url: Secret::expose(url).to_owned(),
                max_connections: 2,
                statement_timeout: Duration::from_secs(60),
                prefix: String::new(),
            },
            None => Databases::Sqlite(self.settings.data_dir.clone()),
        };
        let there = databases.existing(&[name]).await.expect("the databases answer");
        if there.is_empty() { None } else { Some(databases.open(name).await.expect("the database opens")) }
    }

    /// A request; the path is whole, e.g. `/api/v1/books`.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Client::new(self.router.clone()).request(method, path)
    }

    /// A browser that was never here.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(Client::new(self.router.clone()))
    }

    /// `GET`
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// `POST`
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// The administrator's access token.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Signs in.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn sign_in(&self, email: &str, password: &str) -> TokenResponse {
        let body = json!({"grant_type": "password", "email": email, "password": password});
        self.post("/api/v1/identity/token").json(&body).send().await.expect(StatusCode::OK).read()
    }

    /// Makes an account and signs in: its access token.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn customer(&self, email: &str) -> String {
        let body = json!({"email": email, "password": "correct horse battery", "name": "Ann Reader"});
        let registered = self.post("/api/v1/identity/register").json(&body).send().await;
        assert_eq!(registered.status, StatusCode::CREATED, "{:?}", registered.body);
        self.sign_in(email, "correct horse battery").await.access_token
    }

    /// Puts a book on sale.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn book(&self, title: &str, price: i64, stock: i64) -> Book {
        let body = json!({
            "title": title,
            "authors": ["Ursula K. Le Guin"],
            "subjects": ["Science fiction"],
            "price": {"amount": price, "currency": "USD"},
            "stock": stock,
        });
        self.post("/api/v1/books").bearer(&self.admin).json(&body).send().await.expect(StatusCode::CREATED).read()
    }

    /// `(on_hand, reserved, available)` of a book.
    pub async fn stock(&self, book: BookId) -> (i64, i64, i64) {
        let stock = self.get(&format!("/api/v1/books/{book}/stock")).bearer(&self.admin).send().await.body;
        let count = |name: &str| stock[name].as_i64().unwrap_or(i64::MIN);
        (count("on_hand"), count("reserved"), count("available"))
    }

    /// A guest's purchase of these books, paid with this token.
    ///
    /// # Panics
    /// When a book cannot be put into the basket.
    pub async fn purchase(&self, books: &[(BookId, u32)], token: &str) -> Purchase {
        let mut basket: Option<String> = None;
        for (book, quantity) in books {
            let mut add = self.post("/api/v1/basket/items").json(&json!({"book_id": book, "quantity": quantity}));
            if let Some(secret) = &basket {
                add = add.header("basket-token", secret);
            }
            let added = add.send().await.expect(StatusCode::OK);
            basket = basket.or_else(|| added.header("basket-token").map(str::to_owned));
        }
        Purchase {
            basket: basket.expect("the first book makes a basket"),
            key: Uuid::new_v4().to_string(),
            body: checkout_body(token),
        }
    }

    /// Sends a purchase.
    pub async fn check_out(&self, purchase: &Purchase) -> Response {
        self.post("/api/v1/orders/checkout")
            .header("basket-token", &purchase.basket)
            .header("idempotency-key", &purchase.key)
            .json(&purchase.body)
            .send()
            .await
    }

    /// Buys these books as a guest.
    ///
    /// # Panics
    /// When the order is not confirmed.
    pub async fn buy(&self, books: &[(BookId, u32)]) -> Order {
        let purchase = self.purchase(books, "tok_approve").await;
        self.check_out(&purchase).await.expect(StatusCode::CREATED).read()
    }

    /// An order as the administrator sees it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn order(&self, id: impl std::fmt::Display) -> Order {
        self.get(&format!("/api/v1/orders/{id}")).bearer(&self.admin).send().await.expect(StatusCode::OK).read()
    }

    /// The basket of a guest.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn basket(&self, secret: &str) -> Basket {
        self.get("/api/v1/basket").header("basket-token", secret).send().await.expect(StatusCode::OK).read()
    }
}

/// A body for `POST /orders/checkout` that a guest in Portland, Oregon sends.
fn checkout_body(token: &str) -> Value {
    json!({
        "email": "ann@reader.test",
        "shipping_address": {
            "name": "Ann Reader", "line1": "1 Main Street", "city": "Portland", "region": "OR",
            "postal_code": "97201", "country": "US",
        },
        "shipping_method": "standard",
        "payment": {"token": token},
    })
}

/// The settings of a shop under test, in this folder.
fn settings(folder: &Path, database: &Option<String>, changes: &[(&str, &str)]) -> Settings {
    let data: PathBuf = folder.join("data");
    let defaults = [
        ("listen", "127.0.0.1:0"),
        ("data_dir", &*data.to_string_lossy()),
        ("demo", "false"),
        ("gateway.rate_limit.enabled", "false"),
        ("identity.argon2.memory_kib", "64"),
        ("identity.argon2.iterations", "1"),
        ("admin.email", ADMIN.0),
        ("admin.password", ADMIN.1),
        ("telemetry.log_filter", "warn"),
        ("messaging.backoff_initial_ms", "20"),
        // Tests act for many people from one address.
        ("mail.limits.account.sender_hour", "100000"),
        ("mail.limits.account.sender_day", "100000"),
        ("mail.limits.order.sender_hour", "100000"),
        ("mail.limits.order.sender_day", "100000"),
        ("mail.limits.order.recipient_hour", "100000"),
        ("mail.limits.order.recipient_day", "100000"),
        // A test that wants a model says so: loading one costs each shop a tenth of a second and 100 MB.
        ("ai.provider", "off"),
    ];
    let url = database.as_deref().map(|url| ("database.url", url));
    let sources = defaults
        .into_iter()
        .chain(url)
        .chain(changes.iter().copied())
        .fold(Sources::new(), |sources, (key, value)| sources.set("a test", key, value));
    Settings::load(sources).expect("the test's settings are valid")
}

/// An address for a process that others must know before it starts: of a loopback network that no other test has.
fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 128 | high, middle, low), PORT.fetch_add(1, Ordering::Relaxed)).into()
}

/// The address of a database of its own for one test; `None` for files.
async fn address_of(database: Database) -> Option<String> {
    match database {
        Database::Sqlite => None,
        Database::Postgres(server) => Some(own_database(&server).await),
    }
}

async fn open(settings: &Settings) -> Shop {
    // Boxed: a test's thread has a small stack.
    Box::pin(Shop::open(settings.clone(), telemetry())).await.expect("the shop opens")
}

fn telemetry() -> Telemetry {
    let process =
        bookworm_telemetry::Process { instance: "test".to_owned(), release: env!("CARGO_PKG_VERSION").to_owned() };
    bookworm_telemetry::init(LogFormat::Pretty, "warn", process).expect("the filter is valid")
}

/// The settings of a process with these roles, which listens here to the others.
fn of_a_fleet<'a>(roles: &'a str, internal_listen: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("roles", roles),
        ("public_url", "http://shop.test"),
        ("database.max_connections", "20"),
        ("fleet.token", FLEET_TOKEN),
        ("fleet.internal_listen", internal_listen),
        ("fleet.operations_listen", "127.0.0.1:0"),
        ("fleet.drain_seconds", "0"),
    ]
}

/// Makes a database of its own for one test; the server and all its databases are gone after the test run.
async fn own_database(server: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("shop_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let there = Pool::connect(server).await.expect("the server answers");
    there.batch(&format!("CREATE DATABASE {name}")).await.expect("the server makes databases");
    there.close().await;
    let (host, _) = server.rsplit_once('/').expect("the address names a database");
    format!("{host}/{name}")
}
