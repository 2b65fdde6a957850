//! Processes that share on Redis what gateways cache and what they count.

use std::sync::atomic::{AtomicU32, Ordering};

use bookworm_testing::{RedisServer, eventually};
use bookworm_testkit::{Database, TestShop};
use http::StatusCode;
use serde_json::json;

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

/// How many requests of one account are granted by either gateway before both refuse.
async fn granted(one: &TestShop, two: &TestShop, token: &str) -> usize {
    let (mut granted, mut refused) = (0, 0);
    while refused < 2 {
        refused = 0;
        for shop in [one, two] {
            let answer = shop.get("/api/v1/account").bearer(token).send().await;
            match answer.status {
                StatusCode::TOO_MANY_REQUESTS => refused += 1,
                _ => granted += 1,
            }
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_count_requests_together_and_alone_without_redis() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let url = server.url();
    // One comes back each minute, so that what is granted does not depend on how fast the machine is.
    let settings = [
        ("redis.url", url.as_str()),
        ("gateway.rate_limit.enabled", "true"),
        ("gateway.rate_limit.burst", "40"),
        ("gateway.rate_limit.per_client_per_minute", "1"),
        ("gateway.rate_limit.per_account_per_minute", "1"),
    ];
    let mut one = TestShop::start_with(Database::Sqlite, &settings).await;
    let mut two = TestShop::start_with(Database::Sqlite, &settings).await;
    let together = granted(&one, &two, one.admin()).await;
    assert!((30..60).contains(&together), "forty for both, not for each: {together}");
    server.kill();
    let alone = granted(&one, &two, one.admin()).await;
    assert!((20..60).contains(&alone), "each has its own left: {alone}");
    let _ = one.get("/health/ready").send().await.expect(StatusCode::OK);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attempts_to_sign_in_are_counted_together() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = server.url();
    let settings = [("redis.url", url.as_str()), ("identity.lockout.per_address_per_minute", "2")];
    let mut one = TestShop::start_with(Database::Sqlite, &settings).await;
    let mut two = TestShop::start_with(Database::Sqlite, &settings).await;
    let mut answers = Vec::new();
    for n in 0..4 {
        // Each shop has its own accounts, and none is tried twice: only the address is the same.
        let shop = if n % 2 == 0 { &one } else { &two };
        let email = format!("reader{n}@reader.test");
        let attempt = json!({"grant_type": "password", "email": email, "password": "not their password"});
        answers.push(shop.post("/api/v1/identity/token").json(&attempt).send().await.status.as_u16());
    }
    assert_eq!(answers[..2], [401, 401], "{answers:?}");
    assert!(answers[2..].contains(&429), "each alone would allow its two: {answers:?}");
    one.stop().await;
    two.stop().await;
}
