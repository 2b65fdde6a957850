//! Time limits in the header `grpc-timeout` ("gRPC over HTTP/2", section Requests).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The header has at most eight digits.
const LARGEST: u128 = 99_999_999;

/// Writes how much time is left: whole milliseconds, at least one.
pub(crate) fn write_timeout(headers: &mut HeaderMap, left: Duration) {
    let millis = left.as_millis().clamp(1, LARGEST);
    // Digits and a letter are always a header's value.
    if let Ok(value) = HeaderValue::try_from(format!("{millis}m")) {
        headers.insert(TIMEOUT, value);
    }
}

/// Reads how much time is left. `None` where the header is missing or has no shape.
pub(crate) fn read_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        read_timeout(&HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_str(text).ok()?)]))
    }

    #[test]
    fn what_is_written_is_read() {
        for millis in [1, 999, 1_000, 99_999_999] {
            let mut headers = HeaderMap::new();
            write_timeout(&mut headers, Duration::from_millis(millis));
            assert_eq!(read_timeout(&headers), Some(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn no_time_is_the_shortest_and_more_than_fits_the_longest() {
        for (left, written) in [(Duration::ZERO, "1m"), (Duration::MAX, "99999999m")] {
            let mut headers = HeaderMap::new();
            write_timeout(&mut headers, left);
            assert_eq!(headers[TIMEOUT], written);
        }
    }

    #[test]
    fn every_unit_is_known_and_nothing_else() {
        for (text, time) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("00000007S", Duration::from_secs(7)),
        ] {
            assert_eq!(read(text), Some(time), "{text}");
        }
        for text in ["", "S", "1", "1x", "-1S", "+1S", "1.5S", "123456789S", "1 S", "1SS"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
