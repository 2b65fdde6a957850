//! Cross-site request forgery: a form counts only with the token that belongs to the browser's own cookie, and only when
//! the browser does not say that another site sent it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, header};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Name of the hidden field.
pub(crate) const FIELD: &str = "_csrf";

/// Keyed hash of a text for one purpose, as text for URLs and cookies.
pub(crate) fn sign(secret: &[u8; 32], purpose: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Whether a signature is right, in constant time.
pub(crate) fn verify(secret: &[u8; 32], purpose: &str, text: &str, signature: &str) -> bool {
    sign(secret, purpose, text).as_bytes().ct_eq(signature.as_bytes()).into()
}

/// A fresh value for the cookie: 128 bits nobody can guess.
pub(crate) fn fresh_seed() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

/// The token of a browser's forms.
pub(crate) fn token(secret: &[u8; 32], seed: &str) -> String {
    sign(secret, "csrf", seed)
}

/// Whether the browser says that this request comes from another site. Old browsers say nothing; the token decides then.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return true;
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return false };
    let Ok(origin) = url::Url::parse(origin) else { return true };
    let Some(host) = origin.host_str() else { return true };
    let authority = origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut known = ["host", "x-forwarded-host"].into_iter().filter_map(text).peekable();
    known.peek().is_some() && !known.any(|name| name.eq_ignore_ascii_case(&authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_good_for_its_cookie_and_secret_only() {
        let (secret, other) = ([1; 32], [2; 32]);
        let token = token(&secret, "seed");
        assert!(verify(&secret, "csrf", "seed", &token));
        assert!(!verify(&secret, "csrf", "seed2", &token));
        assert!(!verify(&other, "csrf", "seed", &token));
        assert!(!verify(&secret, "flash", "seed", &token));
    }

    #[test]
    fn another_site_is_told_from_the_own() {
        assert!(is_cross_site(&headers(&[("sec-fetch-site", "cross-site")])));
        assert!(is_cross_site(&headers(&[("origin", "https://evil.example"), ("host", "shop.example")])));
        assert!(is_cross_site(&headers(&[("origin", "null"), ("host", "shop.example")])));
        assert!(!is_cross_site(&headers(&[("origin", "http://shop.example:8080"), ("host", "shop.example:8080")])));
        assert!(!is_cross_site(&headers(&[("host", "shop.example")])));
        let proxied =
            [("origin", "https://shop.example"), ("host", "10.0.0.3:80"), ("x-forwarded-host", "shop.example")];
        assert!(!is_cross_site(&headers(&proxied)));
    }
}
