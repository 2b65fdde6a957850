//! The HTTP side of a hub: negotiation, the start of each transport, posts and the end.

#![expect(clippy::result_large_err, reason = "a refusal is a response, made once for a request and never stored")]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequestParts as _, Request, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde::Serialize;

use crate::connection::{Connection, Phase, Signal, TransportKind};
use crate::directory::Full;
use crate::hub::HubCore;
use crate::request::{Credentials, HttpRequest, Principal, Rejection, query_value};
use crate::session;
use crate::transport::http_pipe::Gone;
use crate::transport::websocket::WebSocketWire;
use crate::transport::{Wire, long_polling, server_sent_events, websocket};

/// The newest version of negotiation: 1 has a token apart from the id.
const NEGOTIATE_VERSION: u32 = 1;

fn text(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text.into()).into_response()
}

fn parameter(parts: &Parts, name: &str) -> Option<String> {
    query_value(parts.uri.query()?, name)
}

async fn authenticate(hub: &HubCore, parts: &Parts) -> Result<Principal, Rejection> {
    match &hub.authenticator {
        None => Ok(Principal::anonymous()),
        Some(authenticator) => authenticator(Credentials::of(parts)).await,
    }
}

// ---- negotiation ---------------------------------------------------------------------------------------------------

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Negotiated<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    use_stateful_reconnect: Option<bool>,
    negotiate_version: u32,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<&'a str>,
    available_transports: Vec<Offered>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offered {
    transport: &'static str,
    transfer_formats: &'static [&'static str],
}

/// `POST {hub}/negotiate`: what the client may use, and the place that is reserved for it.
pub(crate) async fn negotiate(hub: Arc<HubCore>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if parts.method != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let principal = match authenticate(&hub, &parts).await {
        Ok(principal) => principal,
        Err(rejection) => return rejection.into_response(),
    };
    let refuse = |why: String| json(&serde_json::json!({ "error": why }));
    let minimum = hub.options.minimum_negotiate_version;
    let version = match parameter(&parts, "negotiateVersion") {
        None => 0,
        Some(asked) => match asked.parse::<i64>() {
            Err(_) => return refuse(format!("The client requested an invalid protocol version '{asked}'")),
            Ok(version) if version < i64::from(minimum) => {
                return refuse(format!(
                    "The client requested version '{version}', but the server does not support this version."
                ));
            }
            Ok(version) => u32::try_from(version.max(0)).unwrap_or(u32::MAX).min(NEGOTIATE_VERSION),
        },
    };
    if version < minimum {
        return refuse(format!(
            "The client requested version '{version}', but the server does not support this version."
        ));
    }
    if let Some(refused) = refused_by_limits(&hub, &principal) {
        return refuse(refused);
    }
    let connection = Arc::new(Connection::new(version > 0, hub.options.instance.as_deref()));
    let stateful = hub.options.stateful_reconnect
        && parameter(&parts, "useStatefulReconnect").is_some_and(|asked| asked.eq_ignore_ascii_case("true"));
    connection.stateful.store(stateful, Ordering::Release);
    // A new connection has neither yet.
    let _ = connection.principal.set(principal);
    let _ = connection.negotiated_with.set(HttpRequest::of(&parts));
    if let Err(full) = reserve(&hub, &connection) {
        return refuse(full);
    }
    let transports = hub.options.transports;
    let both: &[&str] = &["Text", "Binary"];
    let available_transports = [
        (transports.web_sockets, TransportKind::WebSockets, both),
        (transports.server_sent_events, TransportKind::ServerSentEvents, &both[..1]),
        (transports.long_polling, TransportKind::LongPolling, both),
    ]
    .into_iter()
    .filter(|(offered, ..)| *offered)
    .map(|(_, kind, transfer_formats)| Offered { transport: kind.name(), transfer_formats })
    .collect();
    json(&Negotiated {
        use_stateful_reconnect: stateful.then_some(true),
        negotiate_version: version,
        connection_id: &connection.id,
        connection_token: (version > 0).then_some(&connection.token),
        available_transports,
    })
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("an object of strings and numbers is always JSON");
    (
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
        ],
        body,
    )
        .into_response()
}

fn words(full: Full) -> String {
    match full {
        Full::All(limit) => format!("The server's limit of {limit} connections is reached."),
        Full::Origin(limit) => format!("The limit of {limit} connections from one address is reached."),
        Full::Anonymous(limit) => format!("The server's limit of {limit} connections of guests is reached."),
        Full::AnonymousOfOrigin(limit) => {
            format!("The limit of {limit} connections of guests from one address is reached.")
        }
    }
}

fn refused_by_limits(hub: &HubCore, principal: &Principal) -> Option<String> {
    if hub.stopping.is_cancelled() {
        return Some("The server is shutting down.".to_owned());
    }
    let limit = hub.options.maximum_connections_per_user;
    let user = principal.user_id()?;
    if hub.directory.user_connections(user) < limit {
        return None;
    }
    hub.metrics.rejected.increment(1);
    Some(format!("The limit of {limit} connections for one user is reached."))
}

/// Reserves a place, or says why there is none.
fn reserve(hub: &HubCore, connection: &Arc<Connection>) -> Result<(), String> {
    match hub.directory.reserve(connection, &hub.options) {
        Ok(()) => {
            hub.start_heartbeat();
            Ok(())
        }
        Err(full) => {
            hub.metrics.rejected.increment(1);
            Err(words(full))
        }
    }
}

// ---- transports ----------------------------------------------------------------------------------------------------

/// `{hub}`: GET (or CONNECT) starts or polls, POST sends, DELETE ends.
pub(crate) async fn transport(hub: Arc<HubCore>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let principal = match authenticate(&hub, &parts).await {
        Ok(principal) => principal,
        Err(rejection) => return rejection.into_response(),
    };
    let answer = match parts.method {
        Method::GET | Method::CONNECT => get(&hub, &mut parts, principal).await,
        Method::POST => post(&hub, &parts, &principal, body).await,
        Method::DELETE => delete(&hub, &parts, &principal),
        _ => Err(text(StatusCode::METHOD_NOT_ALLOWED, "")),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

/// The connection that the request is about. A token is a secret, and still only its user may use it.
fn find(hub: &HubCore, parts: &Parts, principal: &Principal) -> Result<Arc<Connection>, Response> {
    let Some(token) = parameter(parts, "id").filter(|id| !id.is_empty()) else {
        return Err(text(StatusCode::BAD_REQUEST, "Connection ID required"));
    };
    let connection =
        hub.directory.by_token(&token).ok_or_else(|| text(StatusCode::NOT_FOUND, "No Connection with that ID"))?;
    if connection.user_id() != principal.user_id() {
        return Err(StatusCode::FORBIDDEN.into_response());
    }
    Ok(connection)
}

async fn get(hub: &Arc<HubCore>, parts: &mut Parts, principal: Principal) -> Result<Response, Response> {
    let accepts_events = parts
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/event-stream")));
    let transports = hub.options.transports;
    if accepts_events {
        offered(transports.server_sent_events, TransportKind::ServerSentEvents)?;
        let connection = find(hub, parts, &principal)?;
        return events(hub, &connection, parts);
    }
    if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(parts, &()).await {
        offered(transports.web_sockets, TransportKind::WebSockets)?;
        return web_socket(hub, parts, principal, upgrade);
    }
    offered(transports.long_polling, TransportKind::LongPolling)?;
    let connection = find(hub, parts, &principal)?;
    poll(hub, &connection, parts).await
}

fn offered(offered: bool, kind: TransportKind) -> Result<(), Response> {
    if offered {
        return Ok(());
    }
    Err(text(StatusCode::NOT_FOUND, format!("{} transport not supported by this end point type", kind.name())))
}

/// Full for now.
fn busy(why: String) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

/// Gives a connection its transport. `Ok(false)`: it has this very transport already.
fn take_transport(connection: &Connection, kind: TransportKind, parts: &Parts) -> Result<bool, Response> {
    if connection.phase() == Phase::Ended {
        return Ok(false);
    }
    if connection.transport.set(kind).is_err() {
        return if connection.transport_kind() == kind {
            Ok(false)
        } else {
            Err(text(StatusCode::BAD_REQUEST, "Cannot change transports mid-connection"))
        };
    }
    // The first request is the connection's; nobody else sets it.
    let _ = connection.request.set(HttpRequest::of(parts));
    if connection.enter(Phase::Started) {
        return Ok(true);
    }
    Err(text(StatusCode::NOT_FOUND, "No Connection with that ID"))
}

fn web_socket(
    hub: &Arc<HubCore>,
    parts: &Parts,
    principal: Principal,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Response> {
    let upgrade = websocket::configure(upgrade, &hub.options);
    let connection = if parameter(parts, "id").is_some_and(|id| !id.is_empty()) {
        let connection = find(hub, parts, &principal)?;
        if !take_transport(&connection, TransportKind::WebSockets, parts)? {
            if connection.phase() == Phase::Open && connection.stateful.load(Ordering::Acquire) {
                return Ok(upgrade.on_upgrade(move |socket| async move {
                    connection.resume_with(WebSocketWire::new(socket));
                }));
            }
            return Err(StatusCode::CONFLICT.into_response());
        }
        connection
    } else {
        // The client skipped negotiation.
        if let Some(refused) = refused_by_limits(hub, &principal) {
            return Err(busy(refused));
        }
        let connection = Arc::new(Connection::new(false, None));
        let _ = connection.principal.set(principal);
        reserve(hub, &connection).map_err(busy)?;
        take_transport(&connection, TransportKind::WebSockets, parts)?;
        connection
    };
    let (hub, failed) = (Arc::clone(hub), (Arc::clone(hub), Arc::clone(&connection)));
    let upgrade = upgrade.on_failed_upgrade(move |_| {
        failed.1.enter(Phase::Ended);
        failed.0.directory.forget(&failed.1);
    });
    Ok(upgrade.on_upgrade(move |socket| async move {
        let sessions = hub.sessions.clone();
        if hub.stopping.is_cancelled() {
            connection.signal(Signal::Shutdown);
        }
        let wire = Wire::WebSocket(Box::new(WebSocketWire::new(socket)));
        sessions.track_future(session::run(hub, connection, wire)).await;
    }))
}

/// Starts the session of a transport that is made of several requests.
fn start_session(hub: &Arc<HubCore>, connection: &Arc<Connection>) {
    if hub.stopping.is_cancelled() {
        connection.signal(Signal::Shutdown);
    }
    let wire = Wire::Http(Arc::clone(connection.pipe(&hub.options)));
    hub.sessions.spawn(session::run(Arc::clone(hub), Arc::clone(connection), wire));
}

fn events(hub: &Arc<HubCore>, connection: &Arc<Connection>, parts: &Parts) -> Result<Response, Response> {
    if !take_transport(connection, TransportKind::ServerSentEvents, parts)? {
        return Err(StatusCode::CONFLICT.into_response());
    }
    let pipe = Arc::clone(connection.pipe(&hub.options));
    pipe.become_event_stream();
    let response = server_sent_events::respond(Arc::clone(connection), pipe);
    start_session(hub, connection);
    Ok(response)
}

async fn poll(hub: &Arc<HubCore>, connection: &Arc<Connection>, parts: &Parts) -> Result<Response, Response> {
    let pipe = Arc::clone(connection.pipe(&hub.options));
    if take_transport(connection, TransportKind::LongPolling, parts)? {
        connection.set_detached(true);
        start_session(hub, connection);
        return Ok(long_polling::started());
    }
    Ok(match long_polling::poll(connection, &pipe, hub.options.poll_timeout).await {
        long_polling::Poll::Respond(response) => response,
        long_polling::Poll::Over(response) => {
            hub.directory.forget(connection);
            response
        }
    })
}

async fn post(hub: &Arc<HubCore>, parts: &Parts, principal: &Principal, mut body: Body) -> Result<Response, Response> {
    let connection = find(hub, parts, principal)?;
    if connection.transport.get() == Some(&TransportKind::WebSockets) {
        let message = "POST requests are not allowed for WebSocket connections.";
        return Err(text(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let gone = || text(StatusCode::NOT_FOUND, "No Connection with that ID");
    let pipe = connection.pipe(&hub.options);
    let _one_after_another = pipe.posting.lock().await;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(frame) = frame else { return Err(text(StatusCode::BAD_REQUEST, "")) };
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            pipe.put_incoming(data, || connection.waker.wake()).await.map_err(|Gone| gone())?;
        }
    }
    if connection.phase() == Phase::Ended {
        return Err(gone());
    }
    Ok(text(StatusCode::OK, ""))
}

fn delete(hub: &HubCore, parts: &Parts, principal: &Principal) -> Result<Response, Response> {
    let connection = find(hub, parts, principal)?;
    if connection.transport.get() != Some(&TransportKind::LongPolling) {
        let message = "Cannot terminate this connection using the DELETE endpoint.";
        return Err(text(StatusCode::BAD_REQUEST, message));
    }
    connection.signal(Signal::Deleted);
    Ok(text(StatusCode::ACCEPTED, ""))
}
