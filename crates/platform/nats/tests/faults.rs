//! What happens when the server is away, killed, full, or not the one that we need.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use std::{
    collections::HashMap,
    error::Error,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bookworm_db::{Db, DbError, FromRow, Migration, Sql, values};
use bookworm_kernel::{Cause, Clock, SystemClock, Timestamp};
use bookworm_messaging::{
    Bus, Consumer, Envelope, Message, Outbox, Policy, ReactionError, SharedBus, contract, message,
};
use bookworm_nats::{ConnectError, ConnectOptions, Login, Nats, NatsBus, Settings};
use bookworm_testing::{NatsServer, Proxy, Running, TestDatabases, count, eventually, nats_stream, nats_url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use common::{bus, nats_bus, options, settings};

message! {
    "events.shop.Counted.v1" Counted {
        pub n: u32,
        pub text: String,
    }
}

const TABLES: &[Migration] = &[
    bookworm_messaging::MIGRATIONS[0],
    bookworm_messaging::MIGRATIONS[1],
    Migration::new("test/0001_effects", "CREATE TABLE effects (id {serial}, n BIGINT NOT NULL);"),
];
const QUICK: Policy = Policy {
    max_attempts: 4,
    initial_backoff: Duration::from_millis(10),
    max_backoff: Duration::from_millis(100),
    workers: 4,
};
/// Bounded means: less than this.
const BOUND: Duration = Duration::from_secs(15);

fn counted(n: u32) -> Envelope {
    Envelope::new(&Counted { n, text: String::new() }, &Cause::start(), SystemClock.now()).unwrap()
}

async fn service(home: &TestDatabases) -> (Db, Outbox) {
    let db = home.databases.open("service").await.unwrap();
    db.migrate(TABLES, SystemClock.now()).await.unwrap();
    (db, Outbox::new(Arc::new(SystemClock)))
}

async fn put(db: &Db, outbox: &Outbox, n: u32) {
    let outbox = outbox.clone();
    db.transact::<_, DbError, _>(move |tx| {
        let message = Counted { n, text: String::new() };
        Box::pin(async move { outbox.put(tx, &Cause::start(), &message).await })
    })
    .await
    .unwrap();
}

fn recorder(db: &Db) -> Consumer {
    let db = db.clone();
    Consumer::new("test.recorder").on::<Counted, _, _>(move |message| {
        let db = db.clone();
        async move {
            let n = i64::from(message.body.n);
            let record = "INSERT INTO effects (n) VALUES ($1)";
            message
                .once::<_, DbError, _>(&db, move |tx| Box::pin(async move { tx.exec(record, values![n]).await }))
                .await?;
            Ok(())
        }
    })
}

async fn effects(db: &Db) -> HashMap<i64, i64> {
    #[derive(FromRow)]
    struct Effect {
        n: i64,
        times: i64,
    }
    let query = "SELECT n, COUNT(*) AS times FROM effects GROUP BY n";
    let rows: Vec<Effect> = db.read().all(query, []).await.unwrap();
    rows.into_iter().map(|row| (row.n, row.times)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_when_the_server_is_killed_again_and_again() {
    const KILLS: u32 = 3;
    const EACH: u32 = 60;
    let Some(mut server) = NatsServer::start() else { return };
    let home = TestDatabases::sqlite();
    let (db, outbox) = service(&home).await;
    let mut running = Running::new();
    let bus = bus(&server.url(), "BOOKWORM", &home).await;
    running.relay(outbox.source(&db), &bus);
    for _ in 0..2 {
        running.consumer(recorder(&db), &bus, Arc::new(SystemClock), QUICK);
    }
    for life in 0..KILLS {
        for n in 0..EACH {
            put(&db, &outbox, life * EACH + n).await;
            if n == EACH / 2 {
                let so_far = effects(&db).await.len();
                eventually("it is under way", async || effects(&db).await.len() > so_far).await;
                server.kill();
            }
        }
        server.start_again();
    }
    let expected: HashMap<i64, i64> = (0..i64::from(KILLS * EACH)).map(|n| (n, 1)).collect();
    eventually("everything has arrived", async || effects(&db).await.len() >= expected.len()).await;
    eventually("everything is acknowledged", async || bus.backlog().await.is_ok_and(|backlog| backlog == 0)).await;
    assert_eq!(effects(&db).await, expected);
    assert_eq!(count(&db, "SELECT COUNT(*) FROM outbox").await, 0);
    assert!(bus.dead_letters().list(None, 10).await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_away_is_an_error_in_bounded_time_and_costs_no_attempt() {
    let Some(mut server) = NatsServer::start() else { return };
    let home = TestDatabases::sqlite();
    let (db, outbox) = service(&home).await;
    let bus = bus(&server.url(), "BOOKWORM", &home).await;
    let (down, calls, late) =
        (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let consumer = Consumer::new("test.patient").on::<Counted, _, _>({
        let (down, calls, late) = (down.clone(), calls.clone(), late.clone());
        move |message| {
            let (down, calls, late) = (down.clone(), calls.clone(), late.clone());
            async move {
                calls.fetch_add(1, Ordering::SeqCst);
                late.fetch_max(message.attempt, Ordering::SeqCst);
                if down.load(Ordering::SeqCst) { Err(ReactionError::unavailable("away")) } else { Ok(()) }
            }
        }
    });
    let mut running = Running::new();
    running.relay(outbox.source(&db), &bus);
    running.consumer(consumer, &bus, Arc::new(SystemClock), QUICK);
    for n in 0..3 {
        put(&db, &outbox, n).await;
    }
    eventually("they are tried again and again", async || calls.load(Ordering::SeqCst) > 3 * QUICK.max_attempts).await;
    server.kill();
    let begun = Instant::now();
    let error = bus.publish(&[counted(9)]).await.unwrap_err();
    assert!(error.accepted.is_empty());
    for outcome in [
        bus.subscribe("test.other", &[Counted::SUBJECT]).await.err(),
        bus.follow("test.other", &[Counted::SUBJECT]).await.err(),
        bus.redeliver("test.patient", &counted(9)).await.err(),
        bus.backlog().await.err(),
        bus.prune(SystemClock.now()).await.err(),
    ] {
        assert!(outcome.is_some(), "each says that there is no server");
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    put(&db, &outbox, 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(count(&db, "SELECT COUNT(*) FROM outbox").await, 1, "it waits in the outbox");
    server.start_again();
    down.store(false, Ordering::SeqCst);
    eventually("the outbox is empty", async || count(&db, "SELECT COUNT(*) FROM outbox").await == 0).await;
    eventually("all is done", async || bus.backlog().await.is_ok_and(|backlog| backlog == 0)).await;
    assert!(bus.dead_letters().list(None, 10).await.unwrap().is_empty());
    // One may be counted whose lease ended while nobody could say anything.
    assert!(late.load(Ordering::SeqCst) < QUICK.max_attempts, "{late:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_goes_on_where_it_was_when_the_server_is_back() {
    let Some(mut server) = NatsServer::start() else { return };
    let home = TestDatabases::sqlite();
    let bus = bus(&server.url(), "BOOKWORM", &home).await;
    let mut follower = bus.follow("f", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    assert_eq!(follower.receive(10).await.unwrap().len(), 1);
    server.kill();
    assert!(follower.receive(10).await.is_err());
    server.start_again();
    let other = common::bus(&server.url(), "BOOKWORM", &home).await;
    other.publish(&[counted(2)]).await.unwrap();
    let mut received = Vec::new();
    eventually("it hears what it did not see", async || {
        received.extend(follower.receive(10).await.unwrap_or_default());
        !received.is_empty()
    })
    .await;
    assert_eq!(received.iter().map(|envelope| envelope.data["n"].as_u64().unwrap()).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_is_lost_without_a_word_is_made_again() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let way = Proxy::before(url.trim_start_matches("nats://")).await;
    let bus = bus(&format!("nats://{}", way.address()), &nats_stream(), &home).await;
    bus.publish(&[counted(1)]).await.unwrap();
    way.lose();
    assert!(bus.publish(&[counted(2)]).await.is_err());
    eventually("it is noticed", async || bus.publish(&[counted(3)]).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_falls_silent_while_the_stream_is_made_is_told_from_one_that_refuses() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let way = Proxy::before(url.trim_start_matches("nats://")).await;
    let nats = Nats::connect(options(&format!("nats://{}", way.address()))).await.unwrap();
    let stream = nats_stream();
    let letters =
        bookworm_messaging::DbDeadLetters::open(home.databases.open("bus").await.unwrap(), Arc::new(SystemClock));
    let letters = Arc::new(letters.await.unwrap());
    way.lose();
    let error = NatsBus::open(nats.clone(), settings(&stream), letters.clone()).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    eventually("it can be made", async || {
        NatsBus::open(nats.clone(), settings(&stream), letters.clone()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_widen_a_consumer_at_once_all_get_what_they_want() {
    let Some(url) = nats_url() else { return };
    let (stream, home) = (nats_stream(), TestDatabases::sqlite());
    let subjects: Vec<String> = (0..8).map(|n| format!("events.contract.S{n}.v1")).collect();
    let mut joining = Vec::new();
    for subject in &subjects {
        let bus = bus(&url, &stream, &home).await;
        let subject = subject.clone();
        joining.push(tokio::spawn(async move { bus.subscribe("a", &[&subject]).await.map(drop) }));
    }
    for joined in joining {
        joined.await.unwrap().unwrap();
    }
    let bus = bus(&url, &stream, &home).await;
    let messages: Vec<Envelope> = subjects
        .iter()
        .map(|subject| {
            let mut envelope = counted(1);
            envelope.subject.clone_from(subject);
            envelope
        })
        .collect();
    bus.publish(&messages).await.unwrap();
    assert_eq!(bus.backlog().await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_stream_refuses_until_what_is_dealt_with_is_pruned() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let bus = nats_bus(&url, Settings { max_bytes: 128 << 10, ..settings(&nats_stream()) }, &home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let large = |n| {
        let message = Counted { n, text: "x".repeat(8 << 10) };
        Envelope::new(&message, &Cause::start(), SystemClock.now()).unwrap()
    };
    let mut accepted = 0;
    while bus.publish(&[large(accepted)]).await.is_ok() {
        accepted += 1;
        assert!(accepted < 100, "it has a limit");
    }
    assert!(accepted > 4);
    let hour_ago = SystemClock.now().minus(Duration::from_secs(3600));
    assert_eq!(bus.prune(hour_ago).await.unwrap(), 0, "nobody has dealt with anything");
    let mut received = 0;
    while received < accepted {
        let deliveries = a.receive(100).await.unwrap();
        received += u32::try_from(deliveries.len()).unwrap();
        a.ack(&deliveries.into_iter().map(|delivery| delivery.tag).collect::<Vec<_>>()).await.unwrap();
    }
    assert_eq!(received, accepted, "what was accepted is there");
    assert_eq!(bus.prune(hour_ago).await.unwrap(), u64::from(accepted), "young as they are, there is need");
    bus.publish(&[large(0)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pruning_goes_by_age_and_spares_what_is_not_settled() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let bus = bus(&url, &nats_stream(), &home).await;
    let (a, b) = (bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap(), bus.subscribe("b", &[]).await.unwrap());
    drop(b);
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between: Timestamp = SystemClock.now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    bus.publish(&[counted(3), counted(4)]).await.unwrap();
    let deliveries = a.receive(10).await.unwrap();
    assert_eq!(bus.prune(SystemClock.now()).await.unwrap(), 0, "nobody has answered");
    a.ack(&deliveries[..3].iter().map(|delivery| delivery.tag.clone()).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(bus.prune(between).await.unwrap(), 2);
    assert_eq!(bus.prune(SystemClock.now()).await.unwrap(), 1);
    a.ack(&[deliveries[3].tag.clone()]).await.unwrap();
    assert_eq!(bus.prune(SystemClock.now()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_that_the_server_does_not_take_stops_no_other() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let bus = bus(&url, &nats_stream(), &home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let message = Counted { n: 1, text: "x".repeat(2 << 20) };
    let too_large = Envelope::new(&message, &Cause::start(), SystemClock.now()).unwrap();
    let mut nowhere = counted(2);
    nowhere.subject = "events.*".to_owned();
    let good = counted(3);
    let error = bus.publish(&[too_large, good.clone(), nowhere]).await.unwrap_err();
    assert_eq!(error.accepted, [good.id]);
    assert!(all(&error).contains("events.*"), "{}", all(&error));
    assert_eq!(a.receive(10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_publish_to_our_subjects_harms_nobody() {
    let Some(url) = nats_url() else { return };
    let (stream, home) = (nats_stream(), TestDatabases::sqlite());
    let bus = bus(&url, &stream, &home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let mut follower = bus.follow("f", &[Counted::SUBJECT]).await.unwrap();
    let stranger = async_nats::connect(&url).await.unwrap();
    let subject = format!("{}.{}", stream.to_lowercase(), Counted::SUBJECT);
    for body in ["", "no JSON", "{}", "[1, 2]"] {
        stranger.publish(subject.clone(), body.into()).await.unwrap();
    }
    stranger.flush().await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let mut deliveries = Vec::new();
    while deliveries.is_empty() {
        deliveries = a.receive(10).await.unwrap();
    }
    assert_eq!(deliveries.len(), 1);
    a.ack(&[deliveries[0].tag.clone()]).await.unwrap();
    eventually("nothing is left", async || bus.backlog().await.unwrap() == 0).await;
    assert_eq!(follower.receive(10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_stops_to_wait_leaves_no_message_behind() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let bus = bus(&url, &nats_stream(), &home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), a.receive(1)).await.is_err());
    bus.publish(&[counted(1)]).await.unwrap();
    // The request that nobody waits for any more may have got it; it is put back long before its lease ends.
    let begun = Instant::now();
    let mut deliveries = Vec::new();
    while deliveries.is_empty() {
        deliveries = a.receive(10).await.unwrap();
    }
    assert!(begun.elapsed() < common::LEASE, "{:?}", begun.elapsed());
    assert_eq!(deliveries[0].attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_stream_is_what_the_settings_say_and_only_grows() {
    let Some(url) = nats_url() else { return };
    let (stream, home) = (nats_stream(), TestDatabases::sqlite());
    for (bytes, days, expected) in [(16, 7, (16, 7)), (32, 14, (32, 14)), (16, 7, (32, 14))] {
        let asked =
            Settings { max_bytes: bytes << 20, max_age: Duration::from_secs(days * 86_400), ..settings(&stream) };
        nats_bus(&url, asked, &home).await;
        let client = async_nats::connect(&url).await.unwrap();
        let there = async_nats::jetstream::new(client).get_stream(&stream).await.unwrap().cached_info().config.clone();
        assert_eq!((there.max_bytes >> 20, there.max_age.as_secs() / 86_400), expected);
        assert_eq!(there.duplicate_window, Duration::from_secs(3600));
        assert_eq!(there.subjects, [format!("{}.>", stream.to_lowercase())]);
    }
    let nats = Nats::connect(options(&url)).await.unwrap();
    let letters =
        bookworm_messaging::DbDeadLetters::open(home.databases.open("bus").await.unwrap(), Arc::new(SystemClock));
    let three = Settings { replicas: 3, ..settings(&stream) };
    let error = NatsBus::open(nats, three, Arc::new(letters.await.unwrap())).await.unwrap_err();
    assert!(!error.may_pass(), "{error}");
    assert!(error.to_string().contains(&stream) && error.to_string().contains("replicas"), "{error}");
}

fn all(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

async fn refused(options: ConnectOptions) -> ConnectError {
    let begun = Instant::now();
    let error = Nats::connect(options).await.expect_err("it must be refused");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_cannot_be_used_is_refused_in_words() {
    let Some(without) = NatsServer::with("") else { return };
    let short = |url: &str| ConnectOptions { connect_timeout: Duration::from_secs(2), ..options(url) };
    let error = refused(short(&without.url())).await;
    assert!(matches!(error, ConnectError::NoJetStream { .. }), "{error:?}");
    assert!(error.to_string().contains("JetStream"), "{error}");

    // Nobody listens there any more.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let error = refused(short(&format!("nats://name:secret@{closed}"))).await.to_string();
    assert!(error.contains(&closed.to_string()) && error.contains("2 s"), "{error}");
    assert!(!error.contains("secret"), "{error}");

    // One of Debian 12, which ignores what it does not know.
    let old = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = old.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = old.accept().await {
            tokio::spawn(async move {
                let info = r#"INFO {"server_id":"X","version":"2.9.10","jetstream":true,"headers":true,"max_payload":1048576}"#;
                peer.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
                let mut buffer = [0; 4096];
                while peer.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if peer.write_all(b"PONG\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let error = refused(short(&format!("nats://{address}"))).await;
    assert!(matches!(&error, ConnectError::TooOld { version, .. } if version == "2.9.10"), "{error:?}");
    assert!(matches!(refused(short("http://example.com")).await, ConnectError::Address(_)));
}

const STORE: &str = "jetstream { store_dir: \"DATA/jetstream\" }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_who_is_let_in_gets_in() {
    // A published example of a seed and its key; nobody uses it.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const KEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let cases = [
        (
            "authorization { user: shop, password: good }".to_owned(),
            Login::User("shop".to_owned(), "good".to_owned()),
            Login::User("shop".to_owned(), "bad".to_owned()),
        ),
        ("authorization { token: good }".to_owned(), Login::Token("good".to_owned()), Login::Token("bad".to_owned())),
        (
            format!("authorization {{ users: [ {{ nkey: {KEY} }} ] }}"),
            Login::Nkey(SEED.to_owned()),
            Login::Token("bad".to_owned()),
        ),
    ];
    for (configuration, good, bad) in cases {
        let Some(server) = NatsServer::with(&format!("{STORE}{configuration}")) else { return };
        let login = |login| ConnectOptions { login, ..options(&server.url()) };
        Nats::connect(login(Some(good))).await.unwrap();
        for login in [login(Some(bad)), login(None)] {
            let error = refused(login).await;
            assert!(matches!(error, ConnectError::Login { .. }), "at once: {error:?}");
            assert!(error.to_string().contains("authorization violation"), "{error}");
        }
    }
    let nonsense =
        ConnectOptions { login: Some(Login::Credentials("nonsense".to_owned())), ..options("nats://127.0.0.1") };
    assert!(matches!(refused(nonsense).await, ConnectError::Credentials(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tls_with_certificates_of_our_own() {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let issue = |names: &[&str]| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (server_certificate, server_key) = issue(&["127.0.0.1", "localhost"]);
    let (client_certificate, client_key) = issue(&["shop"]);
    let ca = file("ca.pem", &authority_certificate.pem());
    let (certificate, key) = (file("server.pem", &server_certificate), file("server.key", &server_key));
    let client = (file("client.pem", &client_certificate), file("client.key", &client_key));
    let tls = format!("{STORE}tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}");
    let Some(server) = NatsServer::with(&tls) else { return };
    let url = server.url().replace("nats://", "tls://");
    let with = |ca_file: bool, client_certificate: bool| ConnectOptions {
        ca_file: ca_file.then(|| ca.clone()),
        client_certificate: client_certificate.then(|| client.clone()),
        tls: true,
        connect_timeout: Duration::from_secs(if ca_file && client_certificate { 20 } else { 1 }),
        ..options(&url)
    };
    Nats::connect(with(true, true)).await.unwrap();
    for (ca, client) in [(true, false), (false, true)] {
        let error = refused(with(ca, client)).await;
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_undelivered_can_be_looked_at() {
    let Some(url) = nats_url() else { return };
    let home = TestDatabases::sqlite();
    let bus = nats_bus(&url, settings(&nats_stream()), &home).await;
    let a = bus.subscribe("a", &[contract::Counted::SUBJECT]).await.unwrap();
    bus.publish(&[contract::counted(1), contract::counted(2)]).await.unwrap();
    let look = async || {
        let mut seen = Vec::new();
        bus.undelivered(|envelope| seen.push(envelope.data["n"].as_u64().unwrap())).await.unwrap();
        seen.sort_unstable();
        seen
    };
    assert_eq!(look().await, [1, 2]);
    let deliveries = a.receive(10).await.unwrap();
    assert_eq!(look().await, [1, 2], "leased is not dealt with");
    a.ack(&deliveries.into_iter().map(|delivery| delivery.tag).collect::<Vec<_>>()).await.unwrap();
    assert!(look().await.is_empty());
    let shared: SharedBus = Arc::new(bus.clone());
    shared.redeliver("a", &contract::counted(3)).await.unwrap();
    assert_eq!(look().await, [3]);
}
