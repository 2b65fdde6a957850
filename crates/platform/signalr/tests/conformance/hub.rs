//! A hub over WebSockets: calls, streams, groups, results, errors, the ends of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use bookworm_signalr::{Context, Disconnect, Hub, HubBuilder, HubError, InvokeError, Options, UploadStream};
use futures::{SinkExt as _, StreamExt as _, stream};
use serde_json::json;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::client::{Server, Socket, until};

#[derive(Default)]
pub struct Shared {
    entered: AtomicUsize,
    left: std::sync::Mutex<Vec<Disconnect>>,
    open: Notify,
    finished: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

type Caller = Context<Arc<Shared>>;

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn builder(shared: &Arc<Shared>) -> HubBuilder<Arc<Shared>> {
    Hub::builder("test", Arc::clone(shared))
        .on("Echo", async |_: Caller, text: Option<String>| Ok(text))
        .on("Add", async |_: Caller, a: i32, b: i32| Ok(a + b))
        .on("Void", async |_: Caller| Ok(()))
        .on("Id", async |ctx: Caller| Ok(ctx.connection_id().to_owned()))
        .on("Shown", async |_: Caller| Err::<(), _>(HubError::new("for you")))
        .on("Hidden", async |_: Caller| Ok("x".parse::<i32>()?))
        .on("Panics", async |_: Caller| -> Result<(), HubError> { panic!("oh no") })
        .on("Wait", async |ctx: Caller| {
            ctx.open.notified().await;
            ctx.finished.fetch_add(1, Ordering::SeqCst);
            Ok("waited")
        })
        .on("Join", async |ctx: Caller, group: String| Ok(ctx.join(&group).await?))
        .on("Leave", async |ctx: Caller, group: String| Ok(ctx.leave(&group).await?))
        .on("Tell", async |ctx: Caller, group: String, text: String| {
            Ok(ctx.clients().group(group).send("told", (text,)).await?)
        })
        .on("TellOthers", async |ctx: Caller, text: String| Ok(ctx.others().send("told", (text,)).await?))
        .on("TellEverybody", async |ctx: Caller, text: String| Ok(ctx.clients().all().send("told", (text,)).await?))
        .on("Ask", async |ctx: Caller, id: String| Ok(ctx.clients().client(id).invoke::<i32>("answer", ()).await?))
        .on("AskMe", async |ctx: Caller| Ok(ctx.caller().invoke::<i32>("answer", (1, "two")).await?))
        .on("Keep", async |ctx: Caller, value: u32| Ok(ctx.insert(value)))
        .on("Abort", async |ctx: Caller| {
            ctx.abort();
            Ok(())
        })
        .on("Admin", async |_: Caller| Ok(()))
        .authorize("Admin", |ctx| ctx.user_id() == Some("admin"))
        .on("Concat", async |ctx: Caller, mut parts: UploadStream<String>| {
            let mut whole = String::new();
            loop {
                match parts.next().await {
                    None => return Ok(whole),
                    Some(Ok(part)) => whole.push_str(&part),
                    Some(Err(error)) => {
                        ctx.finished.fetch_add(1, Ordering::SeqCst);
                        return Err(error);
                    }
                }
            }
        })
        .on("First", async |_: Caller, mut parts: UploadStream<String>| Ok(parts.next().await.transpose()?))
        .stream("Count", async |_: Caller, to: u32| Ok(stream::iter((0..to).map(Ok))))
        .stream("Breaks", async |_: Caller| Ok(stream::iter([Ok(1), Err(HubError::internal("Oops", "inside")), Ok(2)])))
        .stream("Forever", async |ctx: Caller| {
            let dropped = Dropped(Arc::clone(&ctx.dropped));
            Ok(stream::repeat(1).then(move |n| {
                let _ = &dropped;
                async move {
                    tokio::task::yield_now().await;
                    Ok(n)
                }
            }))
        })
        .stream("Doubled", async |_: Caller, numbers: UploadStream<i32>| Ok(numbers.map(|number| Ok(number? * 2))))
        .on_connected(async |ctx: Caller| {
            ctx.entered.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .on_disconnected(async |ctx: Caller, reason| ctx.left.lock().unwrap().push(reason))
}

pub async fn start(options: Options) -> (Server, Arc<Shared>) {
    let shared = Arc::new(Shared::default());
    (Server::start(builder(&shared).build(options)).await, shared)
}

fn detailed() -> Options {
    Options { detailed_errors: true, ..Options::default() }
}

/// Everything up to the completion of `id`.
async fn stream_of(socket: &mut Socket, id: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    let mut items = Vec::new();
    loop {
        let message = socket.receive().await;
        assert_eq!(message["invocationId"], id);
        if message["type"] == 3 {
            return (items, message);
        }
        items.push(message["item"].clone());
    }
}

#[tokio::test]
async fn calls_and_what_goes_wrong_with_them() {
    let (server, _) = start(Options::default()).await;
    let mut socket = server.connect().await;
    assert_eq!(socket.invoke("eCHo", json!(["hi"])).await, json!({"type":3,"invocationId":"i","result":"hi"}));
    assert_eq!(socket.invoke("Void", json!([])).await, json!({"type":3,"invocationId":"i","result":null}));
    assert_eq!(socket.invoke("Keep", json!([1])).await["result"], json!(null));
    assert_eq!(socket.invoke("Keep", json!([2])).await["result"], json!(1));
    let errors = [
        (
            "None",
            json!([]),
            "Failed to invoke 'None' due to an error on the server. HubException: Method does not exist.",
        ),
        ("Add", json!([1]), "Failed to invoke 'Add' due to an error on the server."),
        ("Add", json!([1, "x"]), "Failed to invoke 'Add' due to an error on the server."),
        ("Shown", json!([]), "An unexpected error occurred invoking 'Shown' on the server. HubException: for you"),
        ("Hidden", json!([]), "An unexpected error occurred invoking 'Hidden' on the server."),
        ("Panics", json!([]), "An unexpected error occurred invoking 'Panics' on the server."),
        ("Admin", json!([]), "Failed to invoke 'Admin' because user is unauthorized"),
        (
            "Count",
            json!([1]),
            "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation.",
        ),
        (
            "Concat",
            json!([]),
            "An unexpected error occurred invoking 'Concat' on the server. HubException: Client sent 0 stream(s), Hub method expects 1.",
        ),
        ("AskMe", json!([]), "An unexpected error occurred invoking 'AskMe' on the server."),
    ];
    for (target, arguments, error) in errors {
        if target == "AskMe" {
            socket.say(json!({"type":1,"invocationId":"i","target":"AskMe","arguments":[]})).await;
            let asked = socket.receive().await;
            assert_eq!((&asked["target"], &asked["arguments"]), (&json!("answer"), &json!([1, "two"])));
            socket.say(json!({"type":3,"invocationId":asked["invocationId"],"error":"no idea"})).await;
            assert_eq!(socket.receive().await["error"], error);
            continue;
        }
        assert_eq!(socket.error_of(target, arguments).await, error);
    }
    // Without an id nobody is answered.
    for target in ["None", "Shown", "Count"] {
        socket.say(json!({"type":1,"target":target,"arguments":[]})).await;
    }
    assert_eq!(socket.invoke("Echo", json!(["still there"])).await["result"], "still there");
}

#[tokio::test]
async fn details_are_told_when_they_may_be() {
    let (server, _) = start(detailed()).await;
    let mut socket = server.connect().await;
    let general = "Failed to invoke 'Add' due to an error on the server. InvalidDataException:";
    assert_eq!(
        socket.error_of("Add", json!([1])).await,
        format!("{general} Invocation provides 1 argument(s) but target expects 2.")
    );
    assert!(socket.error_of("Add", json!([1, "x"])).await.starts_with(&format!("{general} Error binding arguments.")));
    assert_eq!(
        socket.error_of("Hidden", json!([])).await,
        "An unexpected error occurred invoking 'Hidden' on the server. ParseIntError: invalid digit found in string"
    );
    assert!(socket.error_of("Panics", json!([])).await.ends_with("Panic: oh no"));
}

#[tokio::test]
async fn the_wire_is_a_stream_of_bytes() {
    let (server, _) = start(Options::default()).await;
    let mut socket = server.socket("").await;
    // The handshake and two calls in one frame, the second call in three pieces, one of them binary.
    let call = |id: &str| format!("{}\u{1e}", json!({"type":1,"invocationId":id,"target":"Echo","arguments":[id]}));
    let (all, rest) = (format!("{{\"protocol\":\"json\",\"version\":1}}\u{1e}{}", call("1")), call("2"));
    socket.send_raw(Message::text(all + &rest[..10])).await;
    socket.send_raw(Message::binary(Bytes::copy_from_slice(&rest.as_bytes()[10..20]))).await;
    socket.send_raw(Message::text(&rest[20..])).await;
    assert_eq!(socket.receive().await, json!({}));
    assert_eq!(socket.receive().await["result"], "1");
    assert_eq!(socket.receive().await["result"], "2");
}

#[tokio::test]
async fn invocations_run_in_order_and_streams_beside_them() {
    let (server, shared) = start(Options::default()).await;
    let mut socket = server.connect().await;
    for (id, target) in [("1", "Wait"), ("2", "Void"), ("3", "Void")] {
        socket.say(json!({"type":1,"invocationId":id,"target":target,"arguments":[]})).await;
    }
    shared.open.notify_one();
    for id in ["1", "2", "3"] {
        assert_eq!(socket.receive().await["invocationId"], id);
    }
    // A stream does not hold up calls.
    socket.say(json!({"type":4,"invocationId":"s","target":"Doubled","arguments":[],"streamIds":["u"]})).await;
    socket.say(json!({"type":2,"invocationId":"u","item":1})).await;
    assert_eq!(socket.receive().await, json!({"type":2,"invocationId":"s","item":2}));
    assert_eq!(socket.invoke("Echo", json!(["x"])).await["result"], "x");
    socket.say(json!({"type":3,"invocationId":"u"})).await;
    assert_eq!(socket.receive().await, json!({"type":3,"invocationId":"s"}));
}

#[tokio::test]
async fn streams_down() {
    let (server, shared) = start(Options::default()).await;
    let mut socket = server.connect().await;
    let ask = |target: &str, arguments: serde_json::Value| json!({"type":4,"invocationId":"s","target":target,"arguments":arguments});
    socket.say(ask("Count", json!([3]))).await;
    assert_eq!(
        stream_of(&mut socket, "s").await,
        (vec![json!(0), json!(1), json!(2)], json!({"type":3,"invocationId":"s"}))
    );
    socket.say(ask("Count", json!([0]))).await;
    assert_eq!(stream_of(&mut socket, "s").await.0.len(), 0);
    socket.say(ask("Breaks", json!([]))).await;
    let (items, end) = stream_of(&mut socket, "s").await;
    assert_eq!(
        (items, &end["error"]),
        (vec![json!(1)], &json!("An error occurred on the server while streaming results."))
    );
    socket.say(ask("Echo", json!(["x"]))).await;
    assert_eq!(
        socket.receive().await["error"],
        "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation."
    );
    socket.say(ask("Forever", json!([]))).await;
    assert_eq!(socket.receive().await["item"], 1);
    socket.say(ask("Count", json!([1]))).await;
    loop {
        let message = socket.receive().await;
        if message["type"] == 3 {
            assert_eq!(message["error"], "Invocation ID 's' is already in use.");
            break;
        }
    }
    socket.say(json!({"type":5,"invocationId":"s"})).await;
    let (_, end) = stream_of(&mut socket, "s").await;
    assert_eq!(end, json!({"type":3,"invocationId":"s"}), "what is cancelled is completed without an error");
    assert_eq!(shared.dropped.load(Ordering::SeqCst), 1);
    socket.say(json!({"type":5,"invocationId":"unknown"})).await;
    assert_eq!(socket.invoke("Echo", json!(["x"])).await["result"], "x");
    // A client that stops reading stops the stream, and ends it by leaving.
    socket.say(ask("Forever", json!([]))).await;
    socket.receive().await;
    socket.cut();
    until("the stream is dropped", || shared.dropped.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn streams_up() {
    let (server, shared) = start(Options::default()).await;
    let mut socket = server.connect().await;
    let call = |target: &str| json!({"type":1,"invocationId":"i","target":target,"arguments":[],"streamIds":["u"]});
    let item = |value: serde_json::Value| json!({"type":2,"invocationId":"u","item":value});

    socket.say(call("Concat")).await;
    for part in ["a", "b", "c"].into_iter().chain(["d"; 50]) {
        socket.say(item(json!(part))).await;
    }
    socket.say(json!({"type":3,"invocationId":"u"})).await;
    assert_eq!(socket.receive().await["result"], format!("abc{}", "d".repeat(50)));

    socket.say(call("Concat")).await;
    socket.say(json!({"type":3,"invocationId":"u","error":"gave up"})).await;
    assert_eq!(
        socket.receive().await["error"],
        "An unexpected error occurred invoking 'Concat' on the server. HubException: gave up"
    );

    // An item of another type ends the upload with an error, and not the connection.
    socket.say(call("Concat")).await;
    socket.say(item(json!(42))).await;
    assert_eq!(socket.receive().await["error"], "An unexpected error occurred invoking 'Concat' on the server.");

    // The method may return first; what comes later is ignored, however much it is.
    socket.say(call("First")).await;
    for _ in 0..40 {
        socket.say(item(json!("first"))).await;
    }
    assert_eq!(socket.receive().await["result"], "first");
    socket.say(json!({"type":3,"invocationId":"u"})).await;
    socket.say(item(json!("nobody knows it"))).await;
    assert_eq!(socket.invoke("Echo", json!(["x"])).await["result"], "x");

    socket.say(call("Concat")).await;
    socket.say(item(json!("half"))).await;
    let before = shared.finished.load(Ordering::SeqCst);
    socket.cut();
    until("the upload fails", || shared.finished.load(Ordering::SeqCst) == before + 1).await;
}

#[tokio::test]
async fn groups_users_and_everybody() {
    let (server, _) = start(Options::default()).await;
    let mut sockets = [server.connect().await, server.connect().await, server.connect().await];
    for socket in &mut sockets[..2] {
        for _ in 0..2 {
            assert_eq!(socket.invoke("Join", json!(["room"])).await["result"], json!(null));
        }
    }
    assert!(sockets[0].error_of("Join", json!([""])).await.starts_with("An unexpected error"));
    assert!(sockets[0].error_of("Tell", json!(["", "x"])).await.starts_with("An unexpected error"));
    sockets[2].say(json!({"type":1,"target":"Tell","arguments":["room","one"]})).await;
    sockets[2].say(json!({"type":1,"target":"Tell","arguments":["ROOM","names of groups are exact"]})).await;
    for socket in &mut sockets[..2] {
        assert_eq!(socket.receive().await, json!({"type":1,"target":"told","arguments":["one"]}));
    }
    sockets[0].invoke("Leave", json!(["room"])).await;
    sockets[0].say(json!({"type":1,"target":"TellOthers","arguments":["two"]})).await;
    for socket in &mut sockets[1..] {
        assert_eq!(socket.receive().await["arguments"], json!(["two"]));
    }
    sockets[2].say(json!({"type":1,"target":"Tell","arguments":["room","three"]})).await;
    assert_eq!(sockets[1].receive().await["arguments"], json!(["three"]));
    sockets[0].say(json!({"type":1,"target":"TellEverybody","arguments":["four"]})).await;
    for socket in &mut sockets {
        assert_eq!(socket.receive().await["arguments"], json!(["four"]), "and nothing before it");
    }
    let [mut first, second, _third] = sockets;
    let id = first.invoke("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    server.handle.clients().client(&id).send("told", ((1, "a"), [true])).await.unwrap();
    assert_eq!(first.receive().await["arguments"], json!([[1, "a"], [true]]));
    server.handle.clients().client("nobody").send("told", ()).await.unwrap();
    server.handle.join(&id, "outside").await.unwrap();
    server.handle.clients().groups(["outside", "empty"]).send("told", ()).await.unwrap();
    assert_eq!(first.receive().await["arguments"], json!([]));
    second.cut();
    until("two are left", || server.handle.connections() == 2).await;
}

#[tokio::test]
async fn results_of_clients() {
    let (server, _) = start(Options::default()).await;
    let (mut asking, mut asked) = (server.connect().await, server.connect().await);
    let id = asked.invoke("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    let ask = server.handle.clients().client(&id);
    let (answer, ()) = tokio::join!(ask.invoke::<i32>("answer", ()), async {
        let call = asked.receive().await;
        assert!(call["invocationId"].as_str().unwrap().starts_with('s'));
        asked.say(json!({"type":3,"invocationId":call["invocationId"],"result":7})).await;
    });
    assert_eq!(answer.unwrap(), 7);
    // A method that waits for a result lets the next invocation run.
    asking.say(json!({"type":1,"invocationId":"1","target":"AskMe","arguments":[]})).await;
    asking.say(json!({"type":1,"invocationId":"2","target":"Echo","arguments":["meanwhile"]})).await;
    let call = asking.receive().await;
    assert_eq!(asking.receive().await["result"], "meanwhile");
    asking.say(json!({"type":3,"invocationId":call["invocationId"],"result":8})).await;
    assert_eq!(asking.receive().await["result"], 8);

    assert_eq!(
        server.handle.clients().client("nobody").invoke::<i32>("answer", ()).await.unwrap_err().to_string(),
        "Connection 'nobody' does not exist."
    );
    let (answer, ()) = tokio::join!(ask.invoke::<i32>("answer", ()), async {
        let call = asked.receive().await;
        // Somebody else's answer ends the connection of who sends it.
        asking.say(json!({"type":3,"invocationId":call["invocationId"],"result":9})).await;
        let close = asking.receive().await;
        assert_eq!((&close["type"], &close["allowReconnect"]), (&json!(7), &json!(true)));
        // An answer that nobody waits for is ignored.
        asked.say(json!({"type":3,"invocationId":"s999999","result":1})).await;
        asked.cut();
    });
    assert!(matches!(&answer, Err(InvokeError::Disconnected(gone)) if *gone == id), "{answer:?}");
}

#[tokio::test]
async fn results_do_not_come_while_connecting_nor_for_ever() {
    let hub = Hub::builder("test", ())
        .on_connected(async |ctx: Context<()>| {
            let error = ctx.caller().invoke::<i32>("answer", ()).await.unwrap_err();
            Ok(ctx.caller().send("said", (error.to_string(),)).await?)
        })
        .on("AskMe", async |ctx: Context<()>| {
            let error = ctx.caller().invoke::<i32>("answer", ()).await.unwrap_err();
            Ok(error.to_string())
        })
        .build(Options { client_result_timeout: Duration::from_millis(50), ..Options::default() });
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    let reported = socket.receive().await["arguments"][0].clone();
    assert_eq!(reported, "Client results inside OnConnectedAsync Hub methods are not allowed.");
    socket.say(json!({"type":1,"invocationId":"i","target":"AskMe","arguments":[]})).await;
    assert_eq!(socket.receive().await["target"], "answer");
    assert_eq!(socket.receive().await["result"], "The client gave no result in time.");
}

async fn reason(shared: &Shared) -> Disconnect {
    until("on_disconnected", || !shared.left.lock().unwrap().is_empty()).await;
    let mut left = shared.left.lock().unwrap();
    assert_eq!(left.len(), 1, "exactly once");
    left.remove(0)
}

#[tokio::test]
async fn the_ends_of_connections() {
    let (server, shared) = start(detailed()).await;
    let mut socket = server.connect().await;
    socket.say(json!({"type":7})).await;
    assert_eq!(socket.receive().await, json!({"type":7}));
    assert_eq!(socket.hear_or_end().await, None);
    assert_eq!(reason(&shared).await, Disconnect::Client);

    let mut socket = server.connect().await;
    socket.say(json!({"type":1,"target":"Abort","arguments":[]})).await;
    assert_eq!(socket.receive().await, json!({"type":7}));
    assert_eq!(reason(&shared).await, Disconnect::Aborted);

    let mut socket = server.connect().await;
    socket.socket.send(Message::Close(None)).await.unwrap();
    assert_eq!(socket.hear_or_end().await, None);
    assert_eq!(reason(&shared).await, Disconnect::Client);

    let socket = server.connect().await;
    until("it is here", || server.handle.connections() == 1).await;
    socket.cut();
    assert_eq!(reason(&shared).await, Disconnect::Lost);

    let mut socket = server.connect().await;
    let id = socket.invoke("Id", json!([])).await["result"].as_str().unwrap().to_owned();
    assert!(server.handle.disconnect(&id).await.unwrap());
    assert_eq!(socket.receive().await, json!({"type":7}));
    assert_eq!(reason(&shared).await, Disconnect::Aborted);
    assert!(!server.handle.disconnect(&id).await.unwrap());

    // What breaks the protocol is answered with the reason and a chance to come back.
    for (sent, reported) in [
        (json!([]), "Unexpected JSON Token Type 'Array'. Expected a JSON Object."),
        (json!({"type":1}), "Missing required property 'target'."),
        (json!({"type":2,"invocationId":"1"}), "Missing required property 'item'."),
    ] {
        let mut socket = server.connect().await;
        socket.say(sent).await;
        assert_eq!(
            socket.receive().await,
            json!({
                "type": 7, "allowReconnect": true,
                "error": format!("Connection closed with an error. InvalidDataException: {reported}"),
            })
        );
        assert_eq!(socket.hear_or_end().await, None);
        assert_eq!(reason(&shared).await, Disconnect::Error(reported.to_owned()));
    }
}

#[tokio::test]
async fn a_call_before_the_close_is_still_done() {
    let (server, shared) = start(Options::default()).await;
    let mut socket = server.connect().await;
    for _ in 0..3 {
        socket.say(json!({"type":1,"target":"Wait","arguments":[]})).await;
    }
    socket.say(json!({"type":7})).await;
    for done in 1..=3 {
        shared.open.notify_one();
        until("the call is done", || shared.finished.load(Ordering::SeqCst) == done).await;
    }
    assert_eq!(reason(&shared).await, Disconnect::Client);
}

#[tokio::test]
async fn shutting_down_tells_everybody_to_come_back() {
    let (server, shared) = start(Options::default()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    until("both are here", || shared.entered.load(Ordering::SeqCst) == 2).await;
    let handle = server.handle.clone();
    let down = tokio::spawn(async move { handle.shutdown().await });
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.receive().await, json!({"type":7,"allowReconnect":true}));
        assert_eq!(socket.hear_or_end().await, None);
    }
    down.await.unwrap();
    assert_eq!(*shared.left.lock().unwrap(), [Disconnect::Shutdown, Disconnect::Shutdown]);
    assert_eq!(server.negotiate("").await, json!({"error":"The server is shutting down."}));
    assert_eq!(server.ask(Method::GET, "/hub?id=x", &[], "").await.status, 404);
}

#[tokio::test]
async fn who_is_refused_is_told_why_and_never_was_here() {
    let shared = Arc::new(Shared::default());
    let hub = builder(&shared).on_connected(async |_| Err(HubError::new("not you"))).build(Options::default());
    let server = Server::start(hub).await;
    let mut socket = server.connect().await;
    let expected_text = json!({"type":7,"error":"Connection closed with an error. HubException: not you"});
    assert_eq!(socket.receive().await, expected_text);
    assert_eq!(socket.hear_or_end().await, None);
    until("it is gone", || server.handle.connections() == 0).await;
    assert!(shared.left.lock().unwrap().is_empty());
}

#[tokio::test]
async fn handshakes() {
    let (server, _) = start(Options {
        handshake_timeout: Duration::from_millis(200),
        heartbeat_interval: Duration::from_millis(20),
        ..Options::default()
    })
    .await;
    for (sent, expected_text) in [
        (json!({"protocol":"nope","version":1}), "The protocol 'nope' is not supported."),
        (json!({"protocol":"json","version":3}), "The server does not support version 3 of the 'json' protocol."),
        (json!({"type":6}), "An unexpected error occurred during connection handshake."),
    ] {
        let mut socket = server.socket("").await;
        socket.say(sent).await;
        assert_eq!(socket.receive().await, json!({ "error": expected_text }));
        assert_eq!(socket.hear_or_end().await, None);
    }
    let mut silent = server.socket("").await;
    assert_eq!(silent.receive().await, json!({"error":"Handshake was canceled."}));
    let mut long = server.socket("").await;
    long.send_raw(Message::text("x".repeat(40_000))).await;
    assert_eq!(long.receive().await, json!({"error":"Handshake was canceled."}));
}

/// The next result; acknowledgements come when they are due.
async fn result(socket: &mut Socket) -> serde_json::Value {
    loop {
        let message = socket.receive().await;
        if message["type"] != 8 {
            return message["result"].clone();
        }
    }
}

#[tokio::test]
async fn stateful_reconnect_repeats_what_was_not_acknowledged() {
    let options = Options {
        stateful_reconnect: true,
        heartbeat_interval: Duration::from_millis(20),
        disconnect_timeout: Duration::from_millis(600),
        ..detailed()
    };
    let (server, shared) = start(options).await;
    let negotiated = server.negotiate("?negotiateVersion=1&useStatefulReconnect=true").await;
    assert_eq!(negotiated["useStatefulReconnect"], true);
    let query = format!("?id={}", negotiated["connectionToken"].as_str().unwrap());
    let mut socket = server.socket(&query).await;
    socket.shake_hands(2).await;
    let call = |n: u32| json!({"type":1,"invocationId":n.to_string(),"target":"Add","arguments":[n,0]});
    socket.say(call(1)).await;
    assert_eq!(socket.receive().await["result"], 1);
    assert_eq!(socket.receive().await, json!({"type":8,"sequenceId":1}), "received messages are acknowledged");
    socket.say(call(2)).await;
    assert_eq!(socket.receive().await["result"], 2);
    socket.say(json!({"type":8,"sequenceId":1})).await;
    // An acknowledgement of 2, so that the order of what follows is known.
    assert_eq!(socket.receive().await, json!({"type":8,"sequenceId":2}));
    socket.cut();

    let mut socket = server.socket(&query).await;
    assert_eq!(socket.receive().await, json!({"type":9,"sequenceId":2}), "begins with what was not acknowledged");
    assert_eq!(result(&mut socket).await, 2);
    socket.say(call(9)).await;
    socket.say(json!({"type":9,"sequenceId":2})).await;
    socket.say(call(2)).await;
    socket.say(call(3)).await;
    assert_eq!(result(&mut socket).await, 3, "neither what came before the sequence nor what was seen is done");
    // A second socket takes over, even while the first is open.
    let mut second = server.socket(&query).await;
    assert_eq!(second.receive().await["type"], 9);
    while result(&mut second).await != 3 {}
    second.say(json!({"type":9,"sequenceId":99})).await;
    let close = loop {
        let message = second.receive().await;
        if message["type"] == 7 {
            break message;
        }
    };
    assert_eq!(
        close["error"],
        "Connection closed with an error. InvalidDataException: Sequence ID greater than amount of messages we've received."
    );
    assert!(matches!(reason(&shared).await, Disconnect::Error(_)));

    // Nobody comes back: the connection ends after a while. After a goodbye it ends at once.
    let negotiated = server.negotiate("?negotiateVersion=1&useStatefulReconnect=true").await;
    let query = format!("?id={}", negotiated["connectionToken"].as_str().unwrap());
    let mut socket = server.socket(&query).await;
    socket.shake_hands(2).await;
    socket.cut();
    assert_eq!(reason(&shared).await, Disconnect::Lost);
    // Version 1 of the protocol gives it up.
    let negotiated = server.negotiate("?negotiateVersion=1&useStatefulReconnect=true").await;
    let query = format!("?id={}", negotiated["connectionToken"].as_str().unwrap());
    let _socket = server.connect_with(&query).await;
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/hub{query}", server.address)).await.unwrap_err();
    assert!(refused.to_string().contains("409"), "{refused}");
}
