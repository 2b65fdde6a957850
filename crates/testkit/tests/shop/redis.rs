//! Gateways that share what they cache on Redis.

use std::sync::atomic::{AtomicU32, Ordering};

use bookworm_testing::{RedisServer, eventually};
use bookworm_testkit::{Database, TestShop};
use http::StatusCode;

/// Asks both the same question, and whether the second had its answer from the first.
async fn shared(one: &TestShop, two: &TestShop, word: &str) -> bool {
    let path = format!("/api/v1/search?q={word}");
    let mut status = String::new();
    for shop in [one, two] {
        let answer = shop.get(&path).send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        status = answer.header("cache-status").unwrap_or_default().to_owned();
    }
    status.contains("detail=shared")
}

/// Another question each time: an answer that a gateway fetched itself stays in its memory.
async fn they_share(one: &TestShop, two: &TestShop, word: &str) {
    let n = AtomicU32::new(0);
    eventually("what one gateway fetched the other has", async || {
        shared(one, two, &format!("{word}{}", n.fetch_add(1, Ordering::Relaxed))).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_answers_and_go_on_by_themselves_without_redis() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let url = server.url();
    let settings = [("redis.url", url.as_str())];
    let mut one = TestShop::start_with(Database::Sqlite, &settings).await;
    let mut two = TestShop::start_with(Database::Sqlite, &settings).await;
    they_share(&one, &two, "winter").await;
    server.pause(true);
    for n in 0..20 {
        assert!(!shared(&one, &two, &format!("summer{n}")).await);
    }
    for shop in [&one, &two] {
        let ready = shop.get("/health/ready").send().await;
        assert_eq!(ready.status, StatusCode::OK, "{}", ready.text());
    }
    server.pause(false);
    they_share(&one, &two, "autumn").await;
    server.kill();
    assert!(!shared(&one, &two, "night").await);
    server.start_again();
    they_share(&one, &two, "spring").await;
    one.stop().await;
    two.stop().await;
}
