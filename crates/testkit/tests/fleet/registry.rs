//! Processes that find each other in the registry, in NATS.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookworm_config::Secret;
use bookworm_contracts::rest::ordering::{Order, OrderStatus, PaymentStatus};
use bookworm_nats::{ConnectOptions, Nats, NatsRegistry};
use bookworm_node::commands;
use bookworm_registry::{Instance, Key, LIFETIME, Registry, State};
use bookworm_testing::{nats_stream, nats_url};
use bookworm_testkit::{Database, TestShop, ask, until};
use http::StatusCode;
use tokio::net::TcpListener;

use crate::{APART, on_postgres};

/// Runs a test on PostgreSQL and NATS; says loudly when one of them is missing.
pub async fn on_nats<Fut: Future<Output = ()>>(test: impl FnOnce(String, String) -> Fut) {
    if let Some(nats) = nats_url() {
        on_postgres(|server| test(server, nats)).await;
    }
}

/// The registry of this shop.
pub async fn registry(shop: &TestShop) -> NatsRegistry {
    let settings = &shop.settings().nats;
    let nats = Nats::connect(options(Secret::expose(settings.url.as_ref().unwrap()))).await.unwrap();
    NatsRegistry::open(nats, &settings.stream, LIFETIME, 1).await.unwrap()
}

fn options(server: &str) -> ConnectOptions {
    ConnectOptions {
        servers: vec![server.to_owned()],
        name: "a test".to_owned(),
        login: None,
        ca_file: None,
        client_certificate: None,
        tls: false,
        connect_timeout: Duration::from_secs(30),
    }
}

/// What is announced.
pub async fn announced(registry: &NatsRegistry) -> Vec<Instance> {
    let listing = registry.list().await.unwrap();
    listing.instances.into_iter().map(|entry| entry.value).collect()
}

async fn states(registry: &NatsRegistry, role: &str) -> Vec<State> {
    let mut states: Vec<State> =
        announced(registry).await.iter().filter(|instance| instance.role() == role).map(|found| found.state).collect();
    states.sort_unstable();
    states
}

pub async fn until_states(registry: &NatsRegistry, role: &str, wanted: &[State]) {
    until("the states are announced", async || (states(registry, role).await == wanted).then_some(())).await;
}

/// The place of the first process with this role among [`TestShop::others`].
fn place(role: &str) -> usize {
    APART.iter().filter(|other| **other != "gateway").position(|other| *other == role).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_is_bought_where_all_roles_found_each_other() {
    on_nats(|server, nats| async move {
        let mut shop = TestShop::start_announced(&server, &nats, &APART, &[]).await;
        let registry = registry(&shop).await;
        let all = until("every role is ready", async || {
            let all = announced(&registry).await;
            (all.len() == APART.len() && all.iter().all(|instance| instance.state == State::Ready)).then_some(all)
        })
        .await;
        let roles: BTreeSet<&str> = all.iter().map(Instance::role).collect();
        assert_eq!(roles, BTreeSet::from(APART));
        let address = format!("http://{}", shop.others()[place("finance")].internal.unwrap());
        let finance = all.iter().find(|instance| instance.role() == "finance").unwrap();
        assert_eq!((finance.http.as_ref(), finance.grpc.as_ref()), (Some(&address), Some(&address)));

        let book = shop.book("The Dispossessed", 1299, 5).await;
        let page = shop.get(&format!("/books/{}", book.id)).send().await.expect(StatusCode::OK);
        assert!(page.text().contains("The Dispossessed"), "web asks the API through the gateway");
        let order = shop.buy(&[(book.id, 2)]).await;
        assert_eq!(order.status, OrderStatus::Confirmed);
        until("the payment is captured", async || {
            let order: Order = shop.order(order.id).await;
            (order.payment.status == PaymentStatus::Captured).then_some(())
        })
        .await;

        shop.others().remove(place("finance")).stop().await;
        assert_eq!(states(&registry, "finance").await, [], "who ended in good order is gone at once");
        let answer = shop.get("/api/v1/payment-methods").send().await;
        assert!(answer.is_problem("unavailable"), "{:?}", answer.body);
        shop.stop().await;
        assert_eq!(announced(&registry).await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_instances_dies_and_people_go_on_buying() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,web,identity,notification,finance,ordering", "catalog,basket", "catalog,basket"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let book = shop.book("The Left Hand of Darkness", 1299, 50).await;
        assert_eq!(shop.buy(&[(book.id, 1)]).await.status, OrderStatus::Confirmed);
        shop.others().remove(0).kill().await;
        // Its entries are still there: for up to 15 s others believe that it answers.
        for _ in 0..10 {
            assert_eq!(shop.buy(&[(book.id, 1)]).await.status, OrderStatus::Confirmed);
        }
        shop.stop().await;
    })
    .await;
}

/// An instance of a role that is only an address: how often it was asked. It answers nothing.
pub async fn decoy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_about_to_end_is_not_asked_while_another_is_ready() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification,catalog", "finance"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let registry = registry(&shop).await;
        until_states(&registry, "finance", &[State::Ready]).await;
        let (address, asked) = decoy().await;
        let mut decoy = announced(&registry).await.into_iter().find(|instance| instance.role() == "finance").unwrap();
        decoy.key = Key::new("finance", "decoy").unwrap();
        (decoy.http, decoy.grpc, decoy.state) = (Some(address.clone()), Some(address), State::Draining);
        registry.announce(&decoy).await.unwrap();
        until_states(&registry, "finance", &[State::Ready, State::Draining]).await;
        for _ in 0..20 {
            let _ = shop.get("/api/v1/payment-methods").send().await.expect(StatusCode::OK);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        decoy.state = State::Ready;
        registry.announce(&decoy).await.unwrap();
        until("it is asked once it is ready", async || {
            // What it does not answer is asked of the other.
            let _ = shop.get("/api/v1/payment-methods").send().await.expect(StatusCode::OK);
            (asked.load(Ordering::SeqCst) > 0).then_some(())
        })
        .await;
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_drains_a_process_and_takes_it_back() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification,catalog", "finance,ai", "finance"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let registry = registry(&shop).await;
        until_states(&registry, "finance", &[State::Ready, State::Ready]).await;
        let ai = announced(&registry).await.into_iter().find(|instance| instance.role() == "ai").unwrap();
        let (id, operations) = (ai.id().to_owned(), shop.others()[0].operations.unwrap());

        let drained = commands::drain(shop.settings(), &id, true).await.unwrap();
        assert_eq!(drained.roles, ["ai", "finance"]);
        assert_eq!(drained.alone, ["ai"], "nobody else can be asked");
        until_states(&registry, "finance", &[State::Ready, State::Draining]).await;
        until_states(&registry, "ai", &[State::Draining]).await;
        let (status, body) = ask(operations, "/health/ready").await.unwrap();
        assert_eq!((status, body.contains("drained")), (StatusCode::SERVICE_UNAVAILABLE, true), "{body}");
        assert_eq!(ask(operations, "/health/live").await.unwrap().0, StatusCode::OK);

        commands::drain(shop.settings(), &id, false).await.unwrap();
        until_states(&registry, "finance", &[State::Ready, State::Ready]).await;
        assert_eq!(ask(operations, "/health/ready").await.unwrap().0, StatusCode::OK);

        let error = commands::drain(shop.settings(), "nobody", true).await.unwrap_err().to_string();
        assert!(error.contains("no process named nobody is announced") && error.contains(&id), "{error}");
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_callees_are_nowhere_says_so_at_start() {
    on_nats(|server, nats| async move {
        let stream = nats_stream();
        let settings = [
            ("nats.url", &*nats),
            ("nats.stream", &stream),
            ("nats.max_mib", "8"),
            ("fleet.start_wait_seconds", "1"),
            ("fleet.endpoints.catalog", "http://127.0.0.1:9"),
        ];
        let words = TestShop::refusal(Database::Postgres(server), "ordering", &settings).await;
        assert!(
            words.starts_with(
                "ordering asks basket, ordering asks identity: no process announced it in the registry within 1 s"
            ),
            "an address in the settings is enough, and the others are named: {words}"
        );
        assert!(words.contains("--roles basket") && words.contains("BOOKWORM_FLEET__ENDPOINTS__BASKET="), "{words}");
        let nats = Nats::connect(options(&nats)).await.unwrap();
        let registry = NatsRegistry::open(nats, &stream, LIFETIME, 1).await.unwrap();
        assert_eq!(announced(&registry).await, [], "a process that does not start is not there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_with_one_name_the_second_is_refused_while_the_first_is_alive() {
    on_nats(|server, nats| async move {
        let processes = ["gateway,identity,basket,notification,catalog,finance"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[("fleet.instance", "one")]).await;
        let registry = registry(&shop).await;
        let Some(database) = shop.settings().database.url.as_ref().map(|url| Secret::expose(url).to_owned()) else {
            panic!("it has a database")
        };
        let stream = shop.settings().nats.stream.clone();
        let second = [
            ("nats.url", &*nats),
            ("nats.stream", &stream),
            ("nats.max_mib", "8"),
            ("fleet.instance", "one"),
            ("database.url", &database),
        ];
        let words = TestShop::refusal(Database::Postgres(server), "ai,finance", &second).await;
        assert!(words.contains("another process runs under the name one (fleet.instance)"), "{words}");
        assert!(words.contains("it has the role finance") && words.contains("http://127.0.0.1:"), "{words}");
        assert_eq!(states(&registry, "finance").await, [State::Ready], "the first is still there");
        assert_eq!(states(&registry, "ai").await, []);
        shop.stop().await;
    })
    .await;
}
