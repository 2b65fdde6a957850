//! Where a request comes from, as limits count it.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, request::Parts};
use sha2::{Digest, Sha256};

use crate::places::network;

/// Where the client is. The gateway sets `X-Forwarded-For` and drops what clients send under that name; without it,
/// the peer of the connection; without that, all clients count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address in the gateway's header.
    #[must_use]
    pub fn forwarded(headers: &HeaderMap) -> Option<Self> {
        let first = headers.get("x-forwarded-for")?.to_str().ok()?.split(',').next()?.trim();
        let address = first.parse().ok().or_else(|| first.parse().ok().map(|peer: SocketAddr| peer.ip()));
        address.map(Self)
    }

    /// What one customer of a provider has: all of an IPv4 address, the first 64 bits of an IPv6 address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        network(self.0)
    }

    /// The network as it is stored: enough to count by, too little to read.
    #[must_use]
    pub fn fingerprint(self) -> String {
        let digest = Sha256::digest(format!("client {}", self.network()));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| Self(info.0.ip()));
        Ok(Self::forwarded(&parts.headers).or_else(peer).unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
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

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| ClientAddress(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6").network().to_string(), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1").network().to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2::1").fingerprint(), of("2001:db8:1:2:ffff::1").fingerprint());
        assert_ne!(of("2001:db8:1:2::1").fingerprint(), of("2001:db8:1:3::1").fingerprint());
        assert!(!of("192.0.2.1").fingerprint().contains("192"));
    }
}
