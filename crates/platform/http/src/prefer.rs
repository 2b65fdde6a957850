use std::{convert::Infallible, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;

/// How long the caller would wait for the outcome: `Prefer: wait=10`, in seconds (RFC 7240, 4.3). A preference that
/// cannot be read is ignored, as the standard asks; the caller of this bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferWait(pub Option<Duration>);

impl<S: Sync> FromRequestParts<S> for PreferWait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let preferences = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let wait = preferences.flat_map(|value| value.split(',')).find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
        });
        Ok(Self(wait.map(|seconds| Duration::from_secs(seconds.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_the_wait_and_ignores_the_rest() {
        for (value, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait = \"5\"", Some(5)),
            ("wait=0;x=1", Some(0)),
            ("wait=-1", None),
            ("wait=soon", None),
            ("respond-async", None),
            ("", None),
        ] {
            let (mut parts, ()) = http::Request::builder().header("Prefer", value).body(()).unwrap().into_parts();
            let PreferWait(wait) = PreferWait::from_request_parts(&mut parts, &()).await.unwrap();
            assert_eq!(wait, seconds.map(Duration::from_secs), "{value}");
        }
    }
}
