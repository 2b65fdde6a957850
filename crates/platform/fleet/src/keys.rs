use std::time::Duration;

use axum::body::Body;
use bookworm_http::auth::{FetchedKey, KeySource, read_key_set};
use futures::future::BoxFuture;
use http::{Request, StatusCode};

use crate::{Pick, Upstream};

/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest key set that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// The keys that an issuer publishes as a JSON Web Key Set (RFC 7517).
#[derive(Debug)]
pub struct FetchedKeys {
    issuer: Upstream,
    path: &'static str,
}

impl FetchedKeys {
    /// Asks the issuer at this path.
    #[must_use]
    pub fn new(issuer: Upstream, path: &'static str) -> Self {
        Self { issuer, path }
    }
}

impl KeySource for FetchedKeys {
    fn fetch(&self) -> BoxFuture<'static, Result<Vec<FetchedKey>, String>> {
        let (issuer, path) = (self.issuer.clone(), self.path);
        let fetch = async move {
            let request = Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
            let response = issuer.pass(Pick::Any, request).await;
            if response.status() != StatusCode::OK {
                return Err(format!("{path} answered {}", response.status()));
            }
            let body = axum::body::to_bytes(response.into_body(), LONGEST).await.map_err(|error| error.to_string())?;
            read_key_set(&body)
        };
        Box::pin(async move {
            tokio::time::timeout(TIMEOUT, fetch).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        })
    }
}
