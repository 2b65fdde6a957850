//! A hub with the shape that the reference clients' own test suites expect, so that any of them can be pointed at it.
//!
//! `cargo run -p bookworm-signalr --example testhub -- --http 127.0.0.1:5000 [--https 127.0.0.1:5001]`
//!
//! When it listens it writes one line for each address to the standard output: `listening on http://127.0.0.1:5000`.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bookworm_signalr::{
    ByteArray, Context, Credentials, DateTime, Hub, HubError, HubHandle, InvokeError, Options, Principal, Rejection,
    Transports, UploadStream,
};
use futures::{StreamExt as _, stream};
use hmac::{Hmac, Mac as _};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tower::ServiceExt as _;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Signs the tokens of this run.
struct TokenKey([u8; 32]);

/// How long a token lives.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomObject {
    #[serde(alias = "name")]
    name: Option<String>,
    #[serde(alias = "value")]
    value: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ComplexObject {
    #[serde(alias = "string")]
    string: Option<String>,
    #[serde(alias = "intArray")]
    int_array: Option<Vec<i64>>,
    #[serde(alias = "byteArray")]
    byte_array: Option<ByteArray>,
    #[serde(alias = "guid")]
    guid: Option<String>,
    #[serde(alias = "dateTime")]
    date_time: Option<DateTime>,
}

/// Nothing is shared by the hub's methods.
struct Nothing;

type Caller = Context<Nothing>;

fn options() -> Options {
    Options { detailed_errors: true, stateful_reconnect: true, ..Options::default() }
}

fn thrown(message: String) -> HubError {
    HubError::internal("InvalidOperationException", message)
}

/// A header of the request that started the transport.
fn header_value(ctx: &Caller, name: &str) -> Option<String> {
    Some(ctx.request()?.headers().get(name)?.to_str().ok()?.to_owned())
}

/// The content type of the negotiation; who skipped that has the transport's.
fn content_type(ctx: &Caller) -> Option<String> {
    let negotiated = ctx.negotiate_request().and_then(|request| request.headers().get(header::CONTENT_TYPE));
    negotiated
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .or_else(|| header_value(ctx, header::CONTENT_TYPE.as_str()))
}

fn test_hub(name: &str, options: Options) -> Hub {
    Hub::builder(name, Nothing)
        .on("Echo", async |_: Caller, text: Option<String>| Ok(text))
        .on("VoidMethod", async |_: Caller| Ok(()))
        .on("GetCallerConnectionId", async |ctx: Caller| Ok(ctx.connection_id().to_owned()))
        .on("GetNumRedirects", async |ctx: Caller| {
            let count = ctx.request().and_then(|request| request.query("numRedirects"));
            Ok(count.and_then(|count| count.parse::<i64>().ok()).unwrap_or(0))
        })
        .on("ThrowException", async |_: Caller, message: String| Err::<(), _>(thrown(message)))
        .stream("StreamThrowException", async |_: Caller, message: String| {
            Err::<stream::Empty<Result<String, HubError>>, _>(thrown(message))
        })
        .on("InvokeWithString", async |ctx: Caller, message: Option<String>| {
            Ok(ctx.caller().send("Message", (message,)).await?)
        })
        .on("SendCustomObject", async |ctx: Caller, object: CustomObject| {
            Ok(ctx.caller().send("CustomObject", (object,)).await?)
        })
        .stream("Stream", async |_: Caller| Ok(stream::iter(["a", "b", "c"].map(Ok))))
        .stream("EmptyStream", async |_: Caller| Ok(stream::empty::<Result<String, HubError>>()))
        .stream("InfiniteStream", async |ctx: Caller, _id: Option<String>| {
            tokio::spawn({
                let ctx = ctx.clone();
                async move {
                    ctx.cancellation().cancelled().await;
                    // When the connection is gone nobody hears it, and nobody need.
                    let _ = ctx.caller().send("StreamCanceled", ()).await;
                }
            });
            Ok(stream::pending::<Result<i64, HubError>>())
        })
        .on("StreamingConcat", async |_: Caller, mut parts: UploadStream<String>| {
            let mut whole = String::new();
            while let Some(part) = parts.next().await {
                whole.push_str(&part?);
            }
            Ok(whole)
        })
        .on("GetActiveTransportName", async |ctx: Caller| Ok(ctx.transport().name()))
        .on("EchoComplexObject", async |_: Caller, object: ComplexObject| Ok(object))
        .on("SendComplexObject", async |_: Caller| {
            Ok(ComplexObject {
                string: Some("hello world".to_owned()),
                int_array: Some(vec![1, 2, 3]),
                byte_array: Some(ByteArray(vec![1, 2, 3])),
                guid: Some("00010203-0405-0607-0706-050403020100".to_owned()),
                date_time: Some(DateTime(time::macros::datetime!(2000-01-01 00:00 UTC))),
            })
        })
        .on("GetHeader", async |ctx: Caller, name: String| Ok(header_value(&ctx, &name)))
        .on("GetCookie", async |ctx: Caller, name: String| {
            Ok(ctx.request().and_then(|request| request.cookie(&name)).map(str::to_owned))
        })
        .on("GetContentTypeHeader", async |ctx: Caller| Ok(content_type(&ctx)))
        .build(options)
}

/// Lets in who has a token of ours that lives.
async fn check_token(key: Arc<TokenKey>, credentials: Credentials) -> Result<Principal, Rejection> {
    let name = credentials.token.as_deref().and_then(|token| verify(&key, token)).ok_or(Rejection::Unauthorized)?;
    Ok(Principal::user(name))
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier")]
    name_identifier: String,
    exp: u64,
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a program of its own, whose tokens live by the wall clock")]
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn mac(key: &TokenKey, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac
}

fn issue(key: &TokenKey, name: &str) -> String {
    let claims = Claims { name_identifier: name.to_owned(), exp: now() + TOKEN_LIFETIME.as_secs() };
    let claims = serde_json::to_vec(&claims).expect("strings and numbers are JSON");
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(key, &text).finalize().into_bytes());
    format!("{text}.{signature}")
}

fn verify(key: &TokenKey, token: &str) -> Option<String> {
    let (text, signature) = token.rsplit_once('.')?;
    mac(key, text).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?).ok()?;
    (claims.exp > now()).then_some(claims.name_identifier)
}

fn application(scheme: &'static str) -> Router {
    let hub = test_hub("testhub", options());
    let without_web_sockets = test_hub(
        "testhub-nowebsockets",
        Options { transports: Transports { web_sockets: false, ..Transports::ALL }, ..options() },
    );
    let key = Arc::new(TokenKey(rand::random()));
    let checking = Arc::clone(&key);
    let authorized = Hub::builder("authorizedhub", Nothing)
        .authenticate(move |credentials| check_token(Arc::clone(&checking), credentials))
        .on("Echo", async |_: Caller, text: Option<String>| Ok(text))
        .build(options());
    let uncreatable = Hub::builder("uncreatable", Nothing)
        .on_connected(async |_| {
            let reason =
                "Unable to resolve service for type 'System.Object' while attempting to activate 'UncreatableHub'.";
            Err(thrown(reason.to_owned()))
        })
        .build(options());
    let echo = Hub::builder("echo", Nothing)
        .raw(async |mut connection| {
            while let Some(bytes) = connection.receive().await {
                if !connection.send(bytes).await {
                    break;
                }
            }
        })
        .build(options());

    let redirects = Arc::new(AtomicU64::new(0));
    let redirect = any(move |request: Request| {
        let count = redirects.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            let query = request.uri().query().unwrap_or_default();
            let asked = query.split('&').find_map(|pair| pair.strip_prefix("baseUrl="));
            let base = match asked {
                Some(base) => percent_encoding::percent_decode_str(base).decode_utf8_lossy().into_owned(),
                None => base_of(scheme, &request),
            };
            axum::Json(serde_json::json!({ "url": format!("{base}/testHub?numRedirects={count}") }))
        }
    });
    let echo_redirect = any(async move |request: Request| {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let location = format!("{}{}", base_of(scheme, &request), path.replacen("/echoredirect", "/echo", 1));
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)])
    });
    let bad = any(async || (StatusCode::BAD_REQUEST, "Some response from server"));

    let client_result = Router::new().route("/clientresult/{connection_id}", get(ask_client)).with_state(hub.handle());
    Router::new()
        .merge(hub.router("/testhub"))
        .merge(without_web_sockets.router("/testhub-nowebsockets"))
        .merge(authorized.router("/authorizedhub"))
        .merge(uncreatable.router("/uncreatable"))
        .merge(echo.router("/echo"))
        .route("/echoredirect", echo_redirect.clone())
        .route("/echoredirect/{*rest}", echo_redirect)
        .route("/redirect", redirect.clone())
        .route("/redirect/{*rest}", redirect)
        .route("/bad-negotiate", bad.clone())
        .route("/bad-negotiate/{*rest}", bad)
        .route("/generatejwttoken", get(async move || issue(&key, "testuser")))
        .merge(client_result)
        .layer(from_fn(test_cookies))
        .layer(from_fn(cross_origin))
}

/// The address that the client used.
fn base_of(scheme: &str, request: &Request) -> String {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    format!("{scheme}://{}", host.or(authority).unwrap_or_default())
}

async fn ask_client(State(hub): State<HubHandle>, Path(connection_id): Path<String>) -> String {
    match hub.clients().client(connection_id).invoke::<i64>("Result", ()).await {
        Ok(result) => result.to_string(),
        Err(InvokeError::Client(text)) => text,
        Err(error) => error.to_string(),
    }
}

/// Every negotiation sets two cookies that live and one that does not.
async fn test_cookies(request: Request, next: Next) -> Response {
    let negotiates = request.uri().path().ends_with("/negotiate");
    let mut response = next.run(request).await;
    if negotiates {
        for cookie in [
            "testCookie=testValue; path=/",
            "testCookie2=testValue2; path=/",
            "expiredCookie=doesntmatter; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/",
        ] {
            response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
    }
    response
}

/// Any origin may call, with credentials.
async fn cross_origin(request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if preflight {
            headers
                .insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            }
        }
    }
    response
}

/// Paths are compared without regard to case, but for the connection id at the end of one of them.
fn in_lower_case(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) && !path.to_ascii_lowercase().starts_with("/clientresult/") {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("{}{query}", path.to_ascii_lowercase()).parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

async fn serve_connection<I>(io: I, application: Router)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let application = application.clone();
        async move { Ok::<_, Infallible>(application.oneshot(in_lower_case(request.map(Body::new))).await.into_response()) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().enable_connect_protocol();
    // A connection that breaks is the client's business.
    let _ = server.serve_connection_with_upgrades(TokioIo::new(io), service).await;
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>) -> Result<(), AnyError> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let application = application(scheme);
    writeln!(std::io::stdout(), "listening on {scheme}://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (application, tls) = (application.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_connection(stream, application).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_connection(stream, application).await;
                    }
                }
            }
        });
    }
}

/// A certificate for this machine, made for this run.
fn self_signed() -> Result<TlsAcceptor, AnyError> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut servers = Vec::new();
    for pair in arguments.chunks(2) {
        match pair {
            [name, address] if name == "--http" => {
                servers.push(tokio::spawn(serve(TcpListener::bind(address).await?, None)));
            }
            [name, address] if name == "--https" => {
                servers.push(tokio::spawn(serve(TcpListener::bind(address).await?, Some(self_signed()?))));
            }
            _ => return Err("usage: testhub --http ADDRESS [--https ADDRESS]".into()),
        }
    }
    if servers.is_empty() {
        return Err("usage: testhub --http ADDRESS [--https ADDRESS]".into());
    }
    for server in servers {
        server.await??;
    }
    Ok(())
}
