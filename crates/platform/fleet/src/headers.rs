//! Which headers travel between two processes of a fleet.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// For how many milliseconds the sender waits for the answer.
const TIME_LEFT: HeaderName = HeaderName::from_static("bookworm-time-left");

/// What is about one connection and not about the request (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes what must not be passed on: headers about the connection, and those that the connection's own header names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Removes what only processes of the fleet may say to each other.
pub(crate) fn remove_internal(headers: &mut HeaderMap) {
    headers.remove(crate::HEADER);
    headers.remove(TIME_LEFT);
}

/// Whether this asks for another protocol on the connection, as a WebSocket does.
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let upgrade = connection.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| upgrade).cloned()
}

pub(crate) fn write_time_left(headers: &mut HeaderMap, left: Duration) {
    headers.insert(TIME_LEFT, HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
}

pub(crate) fn read_time_left(headers: &HeaderMap) -> Option<Duration> {
    headers.get(TIME_LEFT)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_connection_stays_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Custom"),
            ("connection", "upgrade"),
            ("x-custom", "1"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("authorization", "Bearer x"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert_eq!(asks_for_upgrade(&headers).unwrap(), "websocket");
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length"]);
        assert!(asks_for_upgrade(&headers).is_none());
    }

    #[test]
    fn time_left_is_read_as_it_was_written() {
        let mut headers = HeaderMap::new();
        assert_eq!(read_time_left(&headers), None);
        write_time_left(&mut headers, Duration::from_millis(1500));
        assert_eq!(read_time_left(&headers), Some(Duration::from_millis(1500)));
        headers.insert(TIME_LEFT, HeaderValue::from_static("-1"));
        assert_eq!(read_time_left(&headers), None);
    }
}
