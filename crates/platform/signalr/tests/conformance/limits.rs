//! Limits and time-outs: what they refuse, and that nobody else feels it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bookworm_signalr::{Context, Disconnect, Hub, HubError, Options, UploadStream};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::client::{Server, until};
use super::hub::start;

fn quick() -> Options {
    Options { heartbeat_interval: Duration::from_millis(20), ..Options::default() }
}

#[tokio::test]
async fn messages_over_the_limit_end_the_connection() {
    let (server, _) = start(Options { detailed_errors: true, ..Options::default() }).await;
    let expected_text = "Connection closed with an error. InvalidDataException: The maximum message size of 32768B was \
                exceeded. The message size can be configured in AddHubOptions.";
    let message = |size: usize| {
        let empty = json!({"type":1,"invocationId":"i","target":"Echo","arguments":[""]}).to_string();
        json!({"type":1,"invocationId":"i","target":"Echo","arguments":["x".repeat(size - 1 - empty.len())]})
    };
    // Just over, several times, and over what one frame may hold.
    for size in [32_769, 100_000, 300_000] {
        let mut socket = server.connect().await;
        socket.say(message(size)).await;
        assert_eq!(socket.receive().await["error"], expected_text, "{size}");
    }
    let mut socket = server.connect().await;
    socket.say(message(32_768)).await;
    assert_eq!(socket.receive().await["type"], 3);
    // The limit is a message's, not a frame's.
    let many = format!("{}\u{1e}", message(1000)).repeat(100);
    socket.send_raw(Message::text(many)).await;
    for _ in 0..100 {
        assert_eq!(socket.receive().await["type"], 3);
    }
    // Nor does it help to send it bit by bit.
    for _ in 0..17 {
        let _ = futures::SinkExt::send(&mut socket.socket, Message::text("x".repeat(2000))).await;
    }
    assert_eq!(socket.receive().await["error"], expected_text);
}

#[tokio::test]
async fn the_limit_of_a_message_is_told_without_detailed_errors_too() {
    let (server, _) = start(Options::default()).await;
    let mut socket = server.connect().await;
    socket.say(json!({"type":1,"invocationId":"i","target":"Echo","arguments":["x".repeat(40_000)]})).await;
    assert_eq!(
        socket.receive().await["error"],
        "Connection closed with an error. A message must be at most 32768 bytes."
    );
}

#[tokio::test]
async fn connections_are_counted() {
    let (server, _) =
        start(Options { maximum_connections: 2, disconnect_timeout: Duration::from_millis(100), ..quick() }).await;
    let first = server.connect().await;
    assert!(server.negotiate("").await["connectionId"].is_string());
    assert_eq!(server.negotiate("").await, json!({"error":"The server's limit of 2 connections is reached."}));
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/hub", server.address)).await.unwrap_err();
    assert!(refused.to_string().contains("503"), "{refused}");
    // Who negotiated and never came gives up its place.
    let begun = Instant::now();
    while server.negotiate("").await.get("error").is_some() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(first);
}

#[tokio::test]
async fn groups_streams_and_results_are_counted() {
    let options = Options { maximum_groups: 2, maximum_streams: 2, maximum_client_results: 1, ..Options::default() };
    let hub = Hub::builder("test", ())
        .on("Join", async |ctx: Context<()>, group: String| {
            ctx.join(&group).await.map_err(|error| HubError::new(error.to_string()))
        })
        .stream("Silent", async |_: Context<()>| Ok(stream::pending::<Result<u8, HubError>>()))
        .on("Id", async |ctx: Context<()>| Ok(ctx.connection_id().to_owned()))
        .build(options);
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    for group in ["a", "b", "a"] {
        assert_eq!(socket.invoke("Join", json!([group])).await["error"], Value::Null);
    }
    assert!(socket.error_of("Join", json!(["c"])).await.ends_with("the connection is in 2 groups, which is the limit"));
    for id in ["1", "2", "3"] {
        socket.say(json!({"type":4,"invocationId":id,"target":"Silent","arguments":[]})).await;
    }
    let expected_text = json!({"type":3,"invocationId":"3","error":"The limit of 2 open streams is reached."});
    assert_eq!(socket.receive().await, expected_text);
    socket.say(json!({"type":5,"invocationId":"1"})).await;
    assert_eq!(socket.receive().await, json!({"type":3,"invocationId":"1"}));
    let id = socket.invoke("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    let client = server.handle.clients().client(id);
    let (first, second) = tokio::join!(client.invoke::<u8>("a", ()), async {
        let second = client.invoke::<u8>("b", ()).await;
        let call = socket.receive().await;
        socket.say(json!({"type":3,"invocationId":call["invocationId"],"result":1})).await;
        second
    });
    assert_eq!(second.unwrap_err().to_string(), "The connection was already asked for 1 results, which is the limit.");
    assert_eq!(first.unwrap(), 1);
}

#[tokio::test]
async fn silence_is_told_from_work() {
    let (server, shared) = start(Options {
        client_timeout: Duration::from_millis(150),
        keep_alive_interval: Duration::from_millis(60),
        ..quick()
    })
    .await;
    // A client that never pinged may be silent; it is pinged itself.
    let mut quiet = server.connect().await;
    let ping = tokio::time::timeout(Duration::from_secs(10), quiet.socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(ping, Message::text("{\"type\":6}\u{1e}"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(quiet.invoke("Echo", json!(["x"])).await["result"], "x");
    // One that pinged and stopped is closed.
    quiet.say(json!({"type":6})).await;
    assert_eq!(
        quiet.receive().await,
        json!({"type":7,"error":"Connection closed with an error.","allowReconnect":true})
    );
    drop(shared);
}

#[tokio::test]
async fn an_upload_waits_for_its_reader_and_holds_little() {
    let hub = Hub::builder("test", ())
        .on("Slow", async |_: Context<()>, mut items: UploadStream<String>| {
            let mut length = 0;
            while let Some(item) = items.next().await {
                tokio::task::yield_now().await;
                length += item?.len();
            }
            Ok(length)
        })
        .build(Options::default());
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    socket.say(json!({"type":1,"invocationId":"i","target":"Slow","arguments":[],"streamIds":["u"]})).await;
    for _ in 0..500 {
        socket.say(json!({"type":2,"invocationId":"u","item":"x".repeat(10_000)})).await;
    }
    socket.say(json!({"type":3,"invocationId":"u"})).await;
    assert_eq!(socket.receive().await["result"], 5_000_000);
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_nobody_else_feels_it() {
    let (server, shared) =
        start(Options { send_queue_size: 256 * 1024, send_timeout: Duration::from_secs(600), ..quick() }).await;
    let slow = server.connect().await;
    let mut quick = server.connect().await;
    until("both are here", || server.handle.connections() == 2).await;
    let text = Arc::new("x".repeat(16 * 1024));
    let begun = Instant::now();
    let mut sent = 0_u64;
    while server.handle.connections() == 2 {
        server.handle.clients().all().send("told", (&*text, sent)).await.unwrap();
        let received = quick.receive().await;
        assert_eq!(received["arguments"][1], sent, "in order, and nothing is lost");
        sent += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "the slow reader is still here after {sent} messages");
    }
    assert_eq!(quick.invoke("Echo", json!(["fine"])).await["result"], "fine");
    drop((slow, shared));
}

#[tokio::test]
async fn a_stuck_write_ends_in_time() {
    let (server, _) =
        start(Options { send_timeout: Duration::from_millis(200), send_queue_size: 64 << 20, ..quick() }).await;
    let stuck = server.connect().await;
    until("it is here", || server.handle.connections() == 1).await;
    let text = "x".repeat(1 << 20);
    for _ in 0..32 {
        server.handle.clients().all().send("told", (&text,)).await.unwrap();
    }
    until("it is closed", || server.handle.connections() == 0).await;
    drop(stuck);
}

#[tokio::test]
async fn a_handler_that_never_ends_is_dropped_after_its_grace() {
    let left = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&left);
    let hub = Hub::builder("test", ())
        .on("Never", async |_: Context<()>| -> Result<(), HubError> { std::future::pending().await })
        .on_disconnected(move |_: Context<()>, reason| {
            *seen.lock().unwrap() = Some(reason);
            async {}
        })
        .build(Options { handler_grace: Duration::from_millis(100), ..quick() });
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    socket.say(json!({"type":1,"target":"Never","arguments":[]})).await;
    until("it is here", || server.handle.connections() == 1).await;
    socket.cut();
    until("it is over", || left.lock().unwrap().is_some()).await;
    assert_eq!(*left.lock().unwrap(), Some(Disconnect::Lost));
}

#[tokio::test]
async fn invocations_wait_for_their_turn_and_then_the_reader_waits() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (opening, counting) = (Arc::clone(&gate), Arc::clone(&running));
    let hub = Hub::builder("test", ())
        .on("Pass", move |_: Context<()>, number: u32| {
            let (gate, running) = (Arc::clone(&gate), Arc::clone(&running));
            async move {
                running.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                gate.acquire().await?.forget();
                Ok(number)
            }
        })
        .build(Options { maximum_parallel_invocations: 2, maximum_waiting_invocations: 3, ..Options::default() });
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    for number in 0..20 {
        socket.say(json!({"type":1,"invocationId":number.to_string(),"target":"Pass","arguments":[number]})).await;
    }
    until("two run", || counting.load(std::sync::atomic::Ordering::SeqCst) == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(counting.load(std::sync::atomic::Ordering::SeqCst), 2, "and no more than two");
    opening.add_permits(20);
    let mut received: Vec<u64> = Vec::new();
    while received.len() < 20 {
        received.push(socket.receive().await["result"].as_u64().unwrap());
    }
    received.sort_unstable();
    assert_eq!(received, (0..20).collect::<Vec<_>>());
}
