//! What a request tells of its client beside its body.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{header, request::Parts};

/// Where the client is. The gateway sets `X-Forwarded-For` and drops what clients send under that name; without it,
/// the peer of the connection; without that, all clients count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let forwarded = parts.headers.get("x-forwarded-for").and_then(|value| {
            let first = value.to_str().ok()?.split(',').next()?.trim();
            first.parse().ok().or_else(|| first.parse().ok().map(|peer: SocketAddr| peer.ip()))
        });
        let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(forwarded.or_else(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

/// The secret of the basket that the client filled as a guest: header `Basket-Token`, else cookie `basket_token`. Not
/// checked: that is the basket's affair.
#[derive(Clone)]
pub(crate) struct GuestBasket(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for GuestBasket {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get("basket-token").and_then(|value| value.to_str().ok());
        let cookie = || {
            let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            cookies
                .flat_map(|value| value.split(';'))
                .find_map(|pair| pair.trim().strip_prefix("basket_token")?.strip_prefix('='))
        };
        Ok(Self(header.or_else(cookie).map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn address(headers: &[&str], peer: Option<&str>) -> String {
        let mut request =
            headers.iter().fold(Request::get("/"), |r, value| r.header("x-forwarded-for", *value)).body(()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        let Ok(ClientAddress(address)) = ClientAddress::from_request_parts(&mut request.into_parts().0, &()).await;
        address.to_string()
    }

    #[tokio::test]
    async fn the_gateway_knows_best() {
        assert_eq!(address(&["192.0.2.7, 10.0.0.1"], Some("127.0.0.1:5000")).await, "192.0.2.7");
        assert_eq!(address(&["2001:db8::1"], None).await, "2001:db8::1");
        assert_eq!(address(&["192.0.2.7:4711"], None).await, "192.0.2.7");
        assert_eq!(address(&["unknown"], Some("127.0.0.1:5000")).await, "127.0.0.1");
        assert_eq!(address(&[], None).await, "0.0.0.0");
    }
}
