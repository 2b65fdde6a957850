//! A chat by itself, on a socket, with a scripted bot.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Extension, Router};
use bookworm_chat::{
    ChatService, Clients, Dependencies,
    bot::{Responder, Turn},
    domain::{
        agent::Skill,
        reply::{HandOver, Reason, Reply},
    },
    store::SqlStore,
};
use bookworm_config::Chat as Settings;
use bookworm_contracts::grpc::{
    Edge,
    basket::{
        ClaimBasketRequest, ClaimBasketResponse, GetBasketRequest, GetBasketResponse, Line, MergeGuestRequest,
        MergeGuestResponse, ReleaseBasketRequest, ReleaseBasketResponse,
        basket_client::BasketClient,
        basket_server::{Basket, BasketServer},
    },
    methods,
    notification::{
        AdmitRequest, AdmitResponse,
        mailroom_client::MailroomClient,
        mailroom_server::{Mailroom, MailroomServer},
    },
    ordering::{
        LatestOrdersRequest, LatestOrdersResponse, OrderInShort,
        ordering_client::OrderingClient,
        ordering_server::{Ordering as Orders, OrderingServer},
    },
};
use bookworm_db::Databases;
use bookworm_http::{
    Connections,
    auth::{Claims, Role},
};
use bookworm_kernel::{Clock, CustomerId, OrderId, SystemClock, Timestamp};
use bookworm_redis::{Options, PubSub, Redis, RedisBackplane, RedisRoster, Timing};
use bookworm_registry::{Alone, Leases, MemoryLeases, Roster};
use bookworm_signalr::backplane::{Backplane, Local};
use bookworm_testing::{Client, TokenMint, eventually};
use bookworm_testkit::{HubClient, HubClientError};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// How long to wait for what must come, and how long to see that nothing does.
pub const SOON: Duration = Duration::from_secs(10);
pub const QUIET: Duration = Duration::from_millis(300);
pub const PATH: &str = "/hubs/chat";

/// The machine's clock, and what a test adds to it.
#[derive(Debug, Default)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let added = u64::try_from(self.0.load(Ordering::SeqCst)).unwrap();
        SystemClock.now().plus(Duration::from_micros(added))
    }
}

/// A bot that does what the message asks for, and records its turns.
pub struct Script {
    pub turns: Mutex<Vec<Turn>>,
    /// A permit lets an answer to `wait` or `write` go on.
    pub go: Semaphore,
}

#[async_trait]
impl Responder for Script {
    async fn answer(&self, turn: Turn, draft: mpsc::Sender<String>) -> Reply {
        self.turns.lock().unwrap().push(turn.clone());
        let mut reply = Reply {
            text: format!("You said: {}", turn.text),
            links: Vec::new(),
            suggestions: Vec::new(),
            intent: "track_order".parse().ok(),
            hand_over: None,
            memory: turn.memory,
        };
        reply.memory.not_understood += 1;
        match turn.text.as_str() {
            "person" => reply.hand_over = Some(HandOver { reason: Reason::Wanted, skill: Skill::General }),
            "money" => reply.hand_over = Some(HandOver { reason: Reason::PaymentTrouble, skill: Skill::Payment }),
            "wait" => self.go.acquire().await.unwrap().forget(),
            "write" => {
                for word in ["You ", "said: ", "write"] {
                    draft.send(word.to_owned()).await.unwrap();
                    self.go.acquire().await.unwrap().forget();
                }
            }
            "panic" => panic!("as the test wants it"),
            _ => {}
        }
        reply
    }
}

struct Others;

#[tonic::async_trait]
impl Basket for Others {
    async fn get_basket(&self, request: Request<GetBasketRequest>) -> Result<Response<GetBasketResponse>, Status> {
        assert!(request.into_inner().owner.is_some());
        let line = Line { quantity: 2, seen_title: "The Dispossessed".into(), ..Line::default() };
        Ok(Response::new(GetBasketResponse { lines: vec![line], ..GetBasketResponse::default() }))
    }

    async fn merge_guest(&self, _: Request<MergeGuestRequest>) -> Result<Response<MergeGuestResponse>, Status> {
        Err(Status::unimplemented("not asked by the chat"))
    }

    async fn claim_basket(&self, _: Request<ClaimBasketRequest>) -> Result<Response<ClaimBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by the chat"))
    }

    async fn release_basket(
        &self,
        _: Request<ReleaseBasketRequest>,
    ) -> Result<Response<ReleaseBasketResponse>, Status> {
        Err(Status::unimplemented("not asked by the chat"))
    }
}

/// Says yes to all but `enough@reader.test`.
#[tonic::async_trait]
impl Mailroom for Others {
    async fn admit(&self, request: Request<AdmitRequest>) -> Result<Response<AdmitResponse>, Status> {
        let granted = request.into_inner().recipient != "enough@reader.test";
        Ok(Response::new(AdmitResponse { granted, wait_seconds: 600, limit: "recipient".into() }))
    }
}

#[tonic::async_trait]
impl Orders for Others {
    async fn latest_orders(&self, _: Request<LatestOrdersRequest>) -> Result<Response<LatestOrdersResponse>, Status> {
        let order = OrderInShort {
            id: OrderId::new().to_string(),
            number: "BW-7K3M-92QX".into(),
            status: "shipped".into(),
            total: 2598,
            currency: "USD".into(),
            titles: vec!["The Dispossessed".into()],
            placed_at: 0,
        };
        Ok(Response::new(LatestOrdersResponse { orders: vec![order] }))
    }
}

/// A person with an account.
#[derive(Clone)]
pub struct Person {
    pub id: CustomerId,
    pub name: String,
    roles: Vec<Role>,
    pub confirmed: bool,
}

impl Person {
    pub fn new(name: &str, roles: &[Role]) -> Self {
        Self { id: CustomerId::new(), name: name.to_owned(), roles: roles.to_vec(), confirmed: true }
    }
}

/// A chat on a socket.
pub struct House {
    pub address: SocketAddr,
    pub clock: Arc<TestClock>,
    pub script: Arc<Script>,
    pub service: ChatService,
    api: Client,
    databases: Databases,
    settings: Settings,
    redis: Option<String>,
    leases: Arc<dyn Leases>,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
    folder: Arc<tempfile::TempDir>,
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(Settings::default()).await
    }

    pub async fn open_with(settings: Settings) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let databases = Databases::Sqlite(folder.path().to_owned());
        let leases = Arc::new(MemoryLeases::new());
        Self::build(databases, settings, None, leases, Arc::new(TestClock::default()), folder).await
    }

    /// Two instances on the same data, which meet on the Redis server at this address.
    pub async fn two(redis: &str) -> [Self; 2] {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (settings, clock) = (Settings::default(), Arc::new(TestClock::default()));
        let leases: Arc<dyn Leases> = Arc::new(MemoryLeases::new());
        let instance = async || {
            let (databases, redis) = (Databases::Sqlite(folder.path().to_owned()), Some(redis.to_owned()));
            Self::build(databases, settings.clone(), redis, leases.clone(), clock.clone(), folder.clone()).await
        };
        [instance().await, instance().await]
    }

    async fn build(
        databases: Databases,
        settings: Settings,
        redis: Option<String>,
        leases: Arc<dyn Leases>,
        clock: Arc<TestClock>,
        folder: Arc<tempfile::TempDir>,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut running = Vec::new();
        let (backplane, roster): (Arc<dyn Backplane>, Arc<dyn Roster>) = match &redis {
            None => (Arc::new(Local), Arc::new(Alone)),
            Some(url) => {
                let options = Options {
                    url: url.clone(),
                    password: None,
                    authorities: None,
                    certificate: None,
                    prefix: "chat".to_owned(),
                };
                let redis = Arc::new(Redis::open(options).await.unwrap());
                let messages = PubSub::new(redis.clone(), Duration::from_secs(1));
                let backplane = RedisBackplane::new(messages.clone());
                // Instances that crash are noticed sooner than in a shop.
                let timing = Timing { renew_each: Duration::from_secs(1), lifetime: Duration::from_secs(5) };
                let roster = RedisRoster::new(messages.clone(), "chat", timing);
                running.push(tokio::spawn(roster.clone().run(stop.clone())));
                let token = stop.clone();
                running.push(tokio::spawn(async move { redis.run(token).await }));
                running.push(tokio::spawn(messages.clone().run(stop.clone())));
                eventually("messages arrive", async || messages.is_connected()).await;
                (backplane, roster)
            }
        };
        let verifier = TokenMint::new(clock.clone()).verifier();
        let script = Arc::new(Script { turns: Mutex::default(), go: Semaphore::new(0) });
        let db = databases.open("chat").await.unwrap();
        let dependencies = Dependencies {
            store: Arc::new(SqlStore::open(db, clock.clone()).await.unwrap()),
            settings: settings.clone(),
            clock: clock.clone(),
            verifier: verifier.clone(),
            responder: script.clone(),
            clients: Clients {
                basket: BasketClient::new(Edge::local("test.basket", BasketServer::new(Others), methods::BASKET)),
                ordering: OrderingClient::new(Edge::local(
                    "test.ordering",
                    OrderingServer::new(Others),
                    methods::ORDERING,
                )),
                mail: MailroomClient::new(Edge::local(
                    "test.notification",
                    MailroomServer::new(Others),
                    methods::NOTIFICATION,
                )),
            },
            instance: None,
            backplane,
            roster,
            leases: leases.clone(),
        };
        let service = ChatService::open(dependencies).await.unwrap();
        let (api, _) = service.api().split_for_parts();
        let router = Router::new().nest("/api/v1", api).merge(service.hub()).layer(Extension(verifier));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        running.extend(service.loops().iter().map(|work| tokio::spawn(work.run(stop.clone()))));
        let serving = bookworm_http::serve(
            listener,
            None,
            router.clone(),
            Connections::MANY,
            stop.clone(),
            Duration::from_secs(5),
        );
        running.push(tokio::spawn(async move {
            let _ = serving.await;
        }));
        let api = Client::new(router);
        Self { address, clock, script, service, api, databases, settings, redis, leases, stop, running, folder }
    }

    async fn end(&mut self) {
        self.service.shutdown().await;
        self.stop.cancel();
        for task in self.running.drain(..) {
            task.await.unwrap();
        }
        self.service.store().close().await;
    }

    /// Stops in good order and starts on the same data.
    pub async fn restart(mut self) -> Self {
        self.end().await;
        self.again().await
    }

    async fn again(&self) -> Self {
        let (databases, settings, redis) = (self.databases.clone(), self.settings.clone(), self.redis.clone());
        Self::build(databases, settings, redis, self.leases.clone(), self.clock.clone(), self.folder.clone()).await
    }

    /// Lets everything fall, as a power cut does, and starts on the same data.
    pub async fn kill(mut self) -> Self {
        self.fall();
        self.again().await
    }

    /// Lets everything fall.
    pub fn fall(&mut self) {
        self.running.drain(..).for_each(|task| task.abort());
    }

    pub async fn close(mut self) {
        self.end().await;
    }

    pub fn token(&self, person: &Person) -> String {
        let mint = TokenMint::new(self.clock.clone());
        mint.sign(&Claims {
            email: format!("{}@reader.test", person.name.to_lowercase()),
            name: person.name.clone(),
            email_confirmed: person.confirmed,
            ..mint.claims(person.id, &person.roles)
        })
    }

    pub async fn guest(&self) -> HubClient {
        HubClient::connect(self.address, PATH, None).await.unwrap()
    }

    pub async fn connect(&self, person: &Person) -> HubClient {
        HubClient::connect(self.address, PATH, Some(&self.token(person))).await.unwrap()
    }

    /// An agent at work with this capacity.
    pub async fn at_work(&self, agent: &Person, capacity: u32) -> HubClient {
        let mut client = self.connect(agent).await;
        client.ok("SetAvailability", json!({"status": "available", "capacity": capacity})).await;
        client
    }

    /// `GET`: status and body.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        self.request("GET", path, headers, None).await
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value) {
        let request =
            self.api.request(method.parse().unwrap(), &format!("/api/v1{path}")).headers(headers.iter().copied());
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await;
        (response.status.as_u16(), response.body)
    }
}

/// Calls as tests make them: one argument, and an answer or a code.
pub trait Calls {
    /// The answer.
    async fn ok(&mut self, method: &str, argument: Value) -> Value;
    /// The answer, or the code with which it was refused.
    async fn try_call(&mut self, method: &str, argument: Value) -> Result<Value, String>;
    /// The code with which it is refused.
    async fn refused(&mut self, method: &str, argument: Value) -> String;
    /// The event that must come.
    async fn expect(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value;
    /// That an event like this does not come.
    async fn expect_none(&mut self, name: &str, unwanted: impl Fn(&Value) -> bool);
    /// Starts a conversation: its id and, for a guest, its secret.
    async fn start(&mut self) -> (String, Value);
    /// Says something: its number.
    async fn say(&mut self, conversation: &str, text: &str) -> u64;
}

impl Calls for HubClient {
    async fn ok(&mut self, method: &str, argument: Value) -> Value {
        self.invoke(method, &[argument]).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, method: &str, argument: Value) -> Result<Value, String> {
        self.invoke(method, &[argument]).await.map_err(|error: HubClientError| {
            assert!(!error.code().is_empty(), "{method}: {error}");
            error.code().to_owned()
        })
    }

    async fn refused(&mut self, method: &str, argument: Value) -> String {
        match self.try_call(method, argument).await {
            Err(code) => code,
            Ok(answer) => panic!("{method} was not refused: {answer}"),
        }
    }

    async fn expect(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.event_like(name, SOON, wanted).await.unwrap();
        found.unwrap_or_else(|| panic!("the event {name} did not come"))
    }

    async fn expect_none(&mut self, name: &str, unwanted: impl Fn(&Value) -> bool) {
        let found = self.event_like(name, QUIET, unwanted).await.unwrap();
        assert_eq!(found, None, "an event {name} came");
    }

    async fn start(&mut self) -> (String, Value) {
        let started = self.ok("StartConversation", json!({})).await;
        (started["conversation"]["id"].as_str().unwrap().to_owned(), started["secret"].clone())
    }

    async fn say(&mut self, conversation: &str, text: &str) -> u64 {
        let sent = self.ok("SendMessage", message(conversation, text)).await;
        sent["seq"].as_u64().unwrap()
    }
}

/// A message with an id of its own.
pub fn message(conversation: &str, text: &str) -> Value {
    json!({"conversation_id": conversation, "client_message_id": Uuid::new_v4(), "text": text})
}

/// A method's argument that names a conversation only.
pub fn only(conversation: &str) -> Value {
    json!({"conversation_id": conversation})
}
