//! Requests to other companies' servers: over HTTPS, or plain HTTP where an operator names such an address.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// Makes requests, and keeps connections open for the next ones: 60 s while nobody uses them. It knows no time limit of
/// its own but the one for connecting.
pub type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that gives a connection this long to be made. It trusts the certificate authorities of Mozilla's list.
#[must_use]
pub fn client(connect: Duration) -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect));
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .build(connector)
}

/// The value of `Authorization` for a key (RFC 6750), marked as sensitive so that it stays out of logs.
///
/// # Errors
/// When the key has characters that no header can carry.
pub fn bearer(key: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| "has characters that no header can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
