//! The client's true address. Services read it from `X-Forwarded-For` and may trust it, because this sets it anew on
//! every request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use bookworm_http::Next;
use http::{HeaderName, HeaderValue};

pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address, as an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(pub IpAddr);

/// Whether the request comes from this machine itself, and not through a proxy on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FromThisMachine(pub bool);

/// What proxies add to a request that they pass on.
const ADDED_BY_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Sets [`Client`], [`FromThisMachine`] and `X-Forwarded-For`. With `trust` the last address of the header that came in is taken, which is
/// the one that the proxy in front of us added; without it the peer's own address.
pub async fn layer(State(trust): State<bool>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let forwarded = trust
        .then(|| request.headers().get_all(FORWARDED_FOR).iter().next_back())
        .flatten()
        .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    let passed_on = ADDED_BY_PROXIES.iter().any(|name| request.headers().contains_key(*name));
    let from_here = !passed_on && peer.is_none_or(|peer| peer.to_canonical().is_loopback());
    request.extensions_mut().insert(FromThisMachine(from_here));
    let address = forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
    request.headers_mut().remove(FORWARDED_FOR);
    if let Ok(value) = HeaderValue::try_from(address.to_string()) {
        request.headers_mut().insert(FORWARDED_FOR, value);
    }
    request.extensions_mut().insert(Client(address));
    next.run(request).await
}
