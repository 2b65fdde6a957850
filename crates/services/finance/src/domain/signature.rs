//! The signature of a webhook: Stripe's scheme. `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

use std::time::Duration;

use bookworm_kernel::Timestamp;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that carries it.
pub const HEADER: &str = "payment-signature";
/// How far the signature's time may be from ours, either way: an old delivery cannot be played again later.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// Not of the form `t=...,v1=...`.
    #[error("the signature must read `t=<unix seconds>,v1=<hex>`")]
    Malformed,
    /// Made more than five minutes before or after now.
    #[error("the signature's time is more than five minutes away")]
    Stale,
    /// Not made with our secret over this body.
    #[error("the signature does not match the body")]
    Mismatch,
}

fn mac(secret: &[u8], seconds: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac
}

/// Signs a body at this time: the value of the header.
#[must_use]
pub fn sign(secret: &[u8], at: Timestamp, body: &[u8]) -> String {
    let seconds = at.seconds();
    let digest = mac(secret, seconds, body).finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// Checks a header against the body, in constant time. Several `v1` may stand in it while a secret is exchanged; one
/// must match.
///
/// # Errors
/// [`InvalidSignature`] when none does, or its time is not now.
pub fn verify(secret: &[u8], header: &str, body: &[u8], now: Timestamp) -> Result<(), InvalidSignature> {
    let (mut seconds, mut digests) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => seconds = Some(value.parse::<i64>().map_err(|_| InvalidSignature::Malformed)?),
            Some(("v1", value)) => digests.push(from_hex(value).ok_or(InvalidSignature::Malformed)?),
            Some(_) => {}
            None => return Err(InvalidSignature::Malformed),
        }
    }
    let seconds = seconds.ok_or(InvalidSignature::Malformed)?;
    if digests.is_empty() {
        return Err(InvalidSignature::Malformed);
    }
    if now.seconds().abs_diff(seconds) > TOLERANCE.as_secs() {
        return Err(InvalidSignature::Stale);
    }
    let matches = |digest: &Vec<u8>| mac(secret, seconds, body).verify_slice(digest).is_ok();
    if digests.iter().any(matches) { Ok(()) } else { Err(InvalidSignature::Mismatch) }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..64).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    #[test]
    fn matches_an_independent_computation() {
        // printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec
        let header = sign(b"whsec", NOW, br#"{"id":"evt_1"}"#);
        assert_eq!(header, "t=1700000000,v1=e7e846cdb96220c3674ade89e534304fc91f6f15064facee1e7a7096f5f57f62");
    }

    #[test]
    fn refuses_what_is_not_signed_by_us_for_this_body_now() {
        let header = sign(b"secret", NOW, b"body");
        assert_eq!(verify(b"secret", &header, b"body", NOW), Ok(()));
        assert_eq!(verify(b"other", &header, b"body", NOW), Err(InvalidSignature::Mismatch));
        assert_eq!(verify(b"secret", &header, b"bodY", NOW), Err(InvalidSignature::Mismatch));
        assert_eq!(verify(b"secret", &header, b"body", NOW.plus(TOLERANCE)), Ok(()));
        let late = NOW.plus(TOLERANCE + Duration::from_secs(1));
        assert_eq!(verify(b"secret", &header, b"body", late), Err(InvalidSignature::Stale));
        let early = NOW.minus(TOLERANCE + Duration::from_secs(1));
        assert_eq!(verify(b"secret", &header, b"body", early), Err(InvalidSignature::Stale));
        for bad in ["", "t=1", "v1=00", "t=x,v1=00", "t=1700000000,v1=zz", "t=1700000000,v1=", "nonsense"] {
            assert_eq!(verify(b"secret", bad, b"body", NOW), Err(InvalidSignature::Malformed), "{bad}");
        }
    }

    #[test]
    fn one_of_several_digests_is_enough() {
        let (old, new) = (sign(b"old", NOW, b"body"), sign(b"new", NOW, b"body"));
        let both = format!("{old},{}", new.split_once(',').expect("two parts").1);
        assert_eq!(verify(b"new", &both, b"body", NOW), Ok(()));
        assert_eq!(verify(b"old", &both, b"body", NOW), Ok(()));
    }

    proptest! {
        #[test]
        fn never_panics(header in ".{0,90}") {
            let _ = verify(b"secret", &header, b"body", NOW);
        }
    }
}
