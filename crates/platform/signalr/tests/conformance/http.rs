//! Negotiation, long polling, Server-Sent Events, and who may.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use bookworm_signalr::{Context, Credentials, Hub, Options, Principal, Rejection, Transports};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::client::{RECEIVE_TIMEOUT, Server, until};
use super::hub::start;

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

fn call(target: &str, arguments: &Value) -> String {
    format!("{}\u{1e}", json!({"type":1,"invocationId":"i","target":target,"arguments":arguments}))
}

#[tokio::test]
async fn negotiation() {
    let (server, _) = start(Options { stateful_reconnect: true, ..Options::default() }).await;
    let answer = server.post("/hub/negotiate?NegotiateVersion=1", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let negotiated: Value = serde_json::from_slice(&answer.body).unwrap();
    let (id, token) = (negotiated["connectionId"].as_str().unwrap(), negotiated["connectionToken"].as_str().unwrap());
    assert_eq!((id.len(), token.len()), (22, 22));
    assert_ne!(id, token);
    assert_eq!(
        answer.text(),
        format!(
            concat!(
                r#"{{"negotiateVersion":1,"connectionId":"{}","connectionToken":"{}","availableTransports":["#,
                r#"{{"transport":"WebSockets","transferFormats":["Text","Binary"]}},"#,
                r#"{{"transport":"ServerSentEvents","transferFormats":["Text"]}},"#,
                r#"{{"transport":"LongPolling","transferFormats":["Text","Binary"]}}]}}"#
            ),
            id, token
        )
    );
    let old = server.negotiate("").await;
    assert_eq!((&old["negotiateVersion"], &old["connectionToken"]), (&json!(0), &Value::Null));
    assert_eq!(server.negotiate("?negotiateVersion=7").await["negotiateVersion"], 1);
    assert_eq!(server.negotiate("?useStatefulReconnect=true").await["useStatefulReconnect"], true);
    assert_eq!(
        server.negotiate("?negotiateVersion=x").await,
        json!({"error":"The client requested an invalid protocol version 'x'"})
    );
    let answer = server.get("/hub/negotiate").await;
    assert_eq!((answer.status, answer.header("content-type")), (405, "text/plain"));

    let transports = Transports { web_sockets: false, server_sent_events: false, long_polling: true };
    let (server, _) = start(Options { minimum_negotiate_version: 1, transports, ..Options::default() }).await;
    for (query, version) in [("", 0), ("?negotiateVersion=0", 0)] {
        let reported =
            format!("The client requested version '{version}', but the server does not support this version.");
        assert_eq!(server.negotiate(query).await, json!({ "error": reported }));
    }
    let negotiated = server.negotiate("?negotiateVersion=1").await;
    assert_eq!(negotiated["availableTransports"].as_array().unwrap().len(), 1);
    let token = negotiated["connectionToken"].as_str().unwrap();
    let events = server.ask(Method::GET, &format!("/hub?id={token}"), &[("accept", "text/event-stream")], "").await;
    assert_eq!(
        (events.status, events.text()),
        (404, "ServerSentEvents transport not supported by this end point type")
    );
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/hub", server.address)).await.unwrap_err();
    assert!(refused.to_string().contains("404"));
}

#[tokio::test]
async fn requests_about_connections_that_are_not() {
    let (server, _) = start(Options::default()).await;
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let answer = server.ask(method.clone(), "/hub", &[], "").await;
        assert_eq!((answer.status, answer.text()), (400, "Connection ID required"), "{method}");
        let answer = server.ask(method.clone(), "/hub?id=none", &[], "").await;
        assert_eq!((answer.status, answer.text()), (404, "No Connection with that ID"), "{method}");
    }
    assert_eq!(server.ask(Method::PUT, "/hub?id=none", &[], "").await.status, 405);
    let token = server.token().await;
    let path = format!("/hub?id={token}");
    let _socket = server.connect_with(&format!("?id={token}")).await;
    let answer = server.post(&path, "x").await;
    assert_eq!((answer.status, answer.text()), (405, "POST requests are not allowed for WebSocket connections."));
    let answer = server.get(&path).await;
    assert_eq!((answer.status, answer.text()), (400, "Cannot change transports mid-connection"));
    let answer = server.ask(Method::DELETE, &path, &[], "").await;
    assert_eq!((answer.status, answer.text()), (400, "Cannot terminate this connection using the DELETE endpoint."));
    let again = tokio_tungstenite::connect_async(format!("ws://{}{path}", server.address)).await.unwrap_err();
    assert!(again.to_string().contains("409"));
}

#[tokio::test]
async fn what_is_posted_before_a_web_socket_comes_first() {
    let (server, _) = start(Options::default()).await;
    let token = server.token().await;
    assert_eq!(server.post(&format!("/hub?id={token}"), HANDSHAKE).await.status, 200);
    let mut socket = server.socket(&format!("?id={token}")).await;
    assert_eq!(socket.receive().await, json!({}));
    assert_eq!(socket.invoke("Echo", json!(["x"])).await["result"], "x");
}

#[tokio::test]
async fn long_polling() {
    let (server, shared) = start(Options { poll_timeout: Duration::from_millis(300), ..Options::default() }).await;
    let path = format!("/hub?id={}", server.token().await);
    // Posts before the transport are stored.
    assert_eq!(server.post(&path, HANDSHAKE).await.status, 200);
    let first = server.get(&path).await;
    assert_eq!((first.status, first.body.len()), (200, 0));
    assert_eq!(first.header("content-type"), "application/octet-stream");
    assert_eq!(first.header("cache-control"), "no-cache, no-store");
    assert_eq!((first.header("pragma"), first.header("expires")), ("no-cache", "Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(server.get(&path).await.text(), "{}\u{1e}");
    let empty = server.get(&path).await;
    assert_eq!((empty.status, empty.body.len()), (200, 0), "a poll ends by itself");

    let posted = server.post(&path, call("Echo", &json!(["a"])) + &call("Echo", &json!(["b"]))).await;
    assert_eq!((posted.status, posted.header("content-type"), posted.body.len()), (200, "text/plain", 0));
    let mut received = String::new();
    while received.matches('\u{1e}').count() < 2 {
        received.push_str(server.get(&path).await.text());
    }
    assert!(received.contains(r#""result":"a""#) && received.contains(r#""result":"b""#));

    // A new poll replaces one that hangs.
    let (old, _) = tokio::join!(server.get(&path), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.get(&path).await
    });
    assert_eq!(old.status, 204);

    let deleted = server.ask(Method::DELETE, &path, &[], "").await;
    assert_eq!(deleted.status, 202);
    until("it is over", || server.handle.connections() == 0).await;
    let mut last = server.get(&path).await.status;
    while last == 200 {
        last = server.get(&path).await.status;
    }
    assert_eq!((last, server.get(&path).await.status), (204, 404));
    drop(shared);
}

#[tokio::test]
async fn the_last_word_of_a_long_polling_connection_is_delivered() {
    let (server, _) = start(Options::default()).await;
    let path = format!("/hub?id={}", server.token().await);
    server.get(&path).await;
    server.post(&path, HANDSHAKE).await;
    assert_eq!(server.get(&path).await.text(), "{}\u{1e}");
    server.post(&path, "{\"type\":7}\u{1e}").await;
    assert_eq!(server.get(&path).await.text(), "{\"type\":7}\u{1e}");
    assert_eq!(server.get(&path).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(server.post(&path, "x").await.status, 404);
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_nothing() {
    let (server, _) = start(Options::default()).await;
    let path = format!("/hub?id={}", server.token().await);
    server.post(&path, HANDSHAKE).await;
    server.get(&path).await;
    assert_eq!(server.get(&path).await.text(), "{}\u{1e}");
    let given_up = tokio::time::timeout(Duration::from_millis(50), server.get(&path)).await;
    assert!(given_up.is_err());
    server.post(&path, call("Echo", &json!(["kept"]))).await;
    assert!(server.get(&path).await.text().contains("kept"));
}

#[tokio::test]
async fn server_sent_events() {
    let (server, _) = start(Options::default()).await;
    let path = format!("/hub?id={}", server.token().await);
    let request = Request::get(format!("http://{}{path}", server.address)).header("accept", "text/event-stream");
    let response = server.request(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache, no-store");
    let mut body = response.into_body();
    let mut received = String::new();
    let next = async |received: &mut String, body: &mut hyper::body::Incoming, wanted: &str| {
        while !received.ends_with(wanted) {
            let frame = tokio::time::timeout(RECEIVE_TIMEOUT, body.frame()).await.expect("an event in time");
            received.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
        }
    };
    next(&mut received, &mut body, ":\r\n").await;
    server.post(&path, HANDSHAKE).await;
    next(&mut received, &mut body, "data: {}\u{1e}\r\n\r\n").await;
    server.post(&path, call("Echo", &json!(["x\ny"]))).await;
    next(&mut received, &mut body, "\"result\":\"x\\ny\"}\u{1e}\r\n\r\n").await;
    let again = server.ask(Method::GET, &path, &[("accept", "text/event-stream")], "").await;
    assert_eq!((again.status, again.body.len()), (409, 0));
    server.post(&path, "{\"type\":7}\u{1e}").await;
    next(&mut received, &mut body, "data: {\"type\":7}\u{1e}\r\n\r\n").await;
    assert!(tokio::time::timeout(RECEIVE_TIMEOUT, body.frame()).await.expect("the end in time").is_none());
    assert_eq!(server.post(&path, "x").await.status, 404);

    // Text only.
    let path = format!("/hub?id={}", server.token().await);
    let request = Request::get(format!("http://{}{path}", server.address)).header("accept", "text/event-stream");
    let mut body = server.request(request.body(Body::empty()).unwrap()).await.into_body();
    server.post(&path, "{\"protocol\":\"messagepack\",\"version\":1}\u{1e}").await;
    let reported = "{\"error\":\"Cannot use the 'messagepack' protocol on the current transport. \
                The transport does not support 'Binary' transfer format.\"}\u{1e}\r\n\r\n";
    next(&mut String::new(), &mut body, reported).await;
}

#[tokio::test]
async fn who_may() {
    let hub = Hub::builder("test", ())
        .authenticate(async |credentials: Credentials| match credentials.token.as_deref() {
            Some("banned") => Err(Rejection::Forbidden),
            Some(token) => Ok(Principal::user(token)),
            None => Err(Rejection::Unauthorized),
        })
        .on("Who", async |ctx: Context<()>| Ok(ctx.user_id().map(str::to_owned)))
        .build(Options { maximum_connections_per_user: 2, ..Options::default() });
    let server = Server::start(hub).await;
    let path = "/hub/negotiate?negotiateVersion=1";
    let refused = server.post(path, "").await;
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    let banned = server.post(&format!("{path}&access_token=banned"), "").await;
    assert_eq!(banned.status, 403);
    let let_in = server.ask(Method::POST, path, &[("authorization", "Bearer ann")], "").await;
    assert_eq!(let_in.status, 200);
    let negotiated: Value = serde_json::from_slice(&let_in.body).unwrap();
    let token = negotiated["connectionToken"].as_str().unwrap();
    assert_eq!(server.get(&format!("/hub?id={token}")).await.status, 401, "every request is asked");
    assert_eq!(server.get(&format!("/hub?id={token}&access_token=bob")).await.status, 403, "and is the same user's");
    let mut socket = server.connect_with(&format!("?id={token}&access_token=ann")).await;
    assert_eq!(socket.invoke("Who", json!([])).await["result"], "ann");

    let mut second = server.connect_with("?access_token=ann").await;
    let mut other = server.connect_with("?access_token=bob").await;
    server.handle.clients().user("ann").send("hello", ()).await.unwrap();
    for socket in [&mut socket, &mut second] {
        assert_eq!(socket.receive().await["target"], "hello");
    }
    assert_eq!(other.invoke("Who", json!([])).await["result"], "bob", "bob received nothing");
    // The limit counts connections that are open, however they came.
    let third = server.post(&format!("{path}&access_token=ann"), "").await;
    assert_eq!(third.text(), r#"{"error":"The limit of 2 connections for one user is reached."}"#);
}

#[tokio::test]
async fn a_principal_that_expires_ends_its_connection_when_that_is_asked_for() {
    let hub = |close: bool| {
        Hub::builder("test", ())
            .authenticate(async |_| Ok(Principal::user("ann").expiring_in(Duration::from_millis(50))))
            .on("Echo", async |_: Context<()>, text: String| Ok(text))
            .build(Options {
                close_on_authentication_expiration: close,
                heartbeat_interval: Duration::from_millis(20),
                ..Options::default()
            })
    };
    let (closing, keeping) = (Server::start(hub(true)).await, Server::start(hub(false)).await);
    let (mut closed, mut kept) = (closing.connect().await, keeping.connect().await);
    assert_eq!(closed.receive().await, json!({"type":7,"allowReconnect":true}));
    assert_eq!(closed.hear_or_end().await, None);
    assert_eq!(kept.invoke("Echo", json!(["still here"])).await["result"], "still here");
}
