//! However the program is asked to end, it ends in good order, and nobody can make it wait.

use std::time::{Duration, Instant};

use bookworm_testing::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::{Program, ask, connect, get};

#[tokio::test]
async fn every_signal_that_asks_for_an_end_ends_it_in_good_order() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut program = Program::start(1024, &[]).await;
        assert!(ask(1, program.address, &get("/health/live")).await.0.contains(" 200 "));
        program.signal(signal).await;
        assert_eq!(program.ended().await.code(), Some(0), "{signal}: {}", program.log());
        assert!(program.log().contains("closed"), "{signal}");
    }
}

/// A balancer that has not noticed yet still sends requests: they are answered, on new connections too, while the process
/// says that it is not ready. All of it together is bounded by the grace, which an orchestrator gives.
#[tokio::test]
async fn a_process_that_is_told_to_stop_takes_requests_until_others_have_noticed() {
    const DRAIN: Duration = Duration::from_secs(3);
    let settings = [
        ("BOOKWORM_FLEET__OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("BOOKWORM_FLEET__DRAIN_SECONDS", "3"),
        ("BOOKWORM_SHUTDOWN_GRACE_SECONDS", "30"),
    ];
    let mut program = Program::start(1024, &settings).await;
    assert!(ask(1, program.address, &get("/health/ready")).await.0.contains(" 200 "));
    let began = Instant::now();
    program.signal("TERM").await;
    eventually("it says that it is not ready", async || {
        ask(1, program.address, &get("/health/ready")).await.0.contains(" 503 ")
    })
    .await;
    let answer = ask(1, program.address, &get("/api/v1/books")).await.0;
    assert!(answer.contains(" 200 ") || began.elapsed() > DRAIN, "{answer}");
    assert_eq!(program.ended().await.code(), Some(0), "{}", program.log());
    assert!(began.elapsed() >= DRAIN, "{:?}", began.elapsed());
    assert!(!program.log().contains("did not end in time"), "{}", program.log());
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_up_no_end() {
    let mut program = Program::start(1024, &[("BOOKWORM_SHUTDOWN_GRACE_SECONDS", "60")]).await;
    let head = "POST /api/v1/identity/password-reset HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = connect(1, program.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Only the handler's wish for the body brings this: from here on the request is being answered.
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 "));
    let began = Instant::now();
    program.signal("TERM").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(program.ended().await.success());
    assert!(began.elapsed() < Duration::from_secs(20), "far below the grace: {:?}", began.elapsed());
    assert!(answer.is_empty() || answer.contains("body_too_slow"), "{answer}");
}
