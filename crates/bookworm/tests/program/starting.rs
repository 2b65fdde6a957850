//! A start waits for the engines that the settings name, for a bounded time, and a signal ends the wait.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bookworm_testing::{FerretDb, NatsServer, eventually};
use tokio::net::TcpListener;

use crate::program::{Starting, ask, get};

const WAITS: &str = "the start waits for";

/// Accepts every connection, and never says a word.
async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    address
}

/// The engines that no process can do without: the settings' section, and an address there.
fn engines(address: SocketAddr) -> [(&'static str, String); 3] {
    [
        ("NATS", format!("nats://{address}")),
        ("DATABASE", format!("postgres://shop:secret@{address}/shop")),
        ("MONGODB", format!("mongodb://{address}")),
    ]
}

fn named(section: &str, url: &str, seconds: &str) -> Starting {
    let (address, timeout) =
        (format!("BOOKWORM_{section}__URL"), format!("BOOKWORM_{section}__CONNECT_TIMEOUT_SECONDS"));
    Starting::begin(&[(&address, url), (&timeout, seconds)])
}

async fn waits(starting: &Starting) {
    eventually("it says that it waits", async || starting.log().contains(WAITS)).await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_waited_for_until_a_signal() {
    for (section, url) in engines(silent().await) {
        let mut starting = named(section, &url, "600");
        waits(&starting).await;
        let began = Instant::now();
        starting.signal("TERM").await;
        assert_eq!(starting.ended().await.code(), Some(0), "{section}: {}", starting.log());
        assert!(began.elapsed() < Duration::from_secs(30), "{section}: far below 600 s: {:?}", began.elapsed());
        let log = starting.log();
        assert!(log.contains("stopped before the start was over"), "{section}: {log}");
        assert_eq!(log.matches(WAITS).count(), 1, "{section}: said once: {log}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_words() {
    for (section, url) in engines(silent().await) {
        let mut starting = named(section, &url, "1");
        assert_eq!(starting.ended().await.code(), Some(1), "{section}");
        let log = starting.log();
        let last = log.lines().last().unwrap_or_default();
        let engine = if section == "DATABASE" { "PostgreSQL" } else { section };
        let named = last.to_lowercase().contains(&engine.to_lowercase());
        assert!(last.starts_with("bookworm: ") && named && !last.contains("secret"), "{section}: {last}");
    }
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let (Some(mut nats), Some(mut mongodb)) = (NatsServer::start(), FerretDb::start()) else { return };
    nats.kill();
    let starting = named("NATS", &nats.url(), "600");
    waits(&starting).await;
    nats.start_again();
    let program = starting.listening().await;
    assert!(ask(1, program.address, &get("/health/live")).await.0.contains(" 200 "));

    mongodb.kill();
    let starting = named("MONGODB", &mongodb.url(), "600");
    waits(&starting).await;
    mongodb.start_again();
    let program = starting.listening().await;
    assert!(ask(1, program.address, &get("/health/live")).await.0.contains(" 200 "));
}

#[tokio::test]
async fn who_is_refused_does_not_wait() {
    let Some(nats) = NatsServer::with("jetstream { store_dir: \"DATA/jetstream\" }\nauthorization { token: good }")
    else {
        return;
    };
    let mut starting = named("NATS", &nats.url(), "600");
    assert_eq!(starting.ended().await.code(), Some(1));
    assert!(starting.log().contains("refuses who signs in"), "{}", starting.log());
}

/// Nothing in Redis is the only copy of anything.
#[tokio::test]
async fn nobody_waits_for_redis() {
    let program = named("REDIS", &format!("redis://{}", silent().await), "600").listening().await;
    assert!(program.log().contains("this process goes on by itself"), "{}", program.log());
}
