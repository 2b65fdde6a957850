//! Whose basket a request means.

use axum::extract::FromRequestParts;
use bookworm_contracts::grpc::basket::get_basket_request::Owner;
use bookworm_http::{Problem, Result, auth::Caller};
use bookworm_kernel::{CustomerId, ErrorCode};
use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};

/// Header and cookie that carry a guest's secret.
const TOKEN_HEADER: &str = "basket-token";
const TOKEN_COOKIE: &str = "basket_token=";
/// The longest secret that is looked at.
const MAX_TOKEN: usize = 256;

/// Who buys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Shopper {
    /// Somebody with an account.
    Customer {
        /// The account.
        id: CustomerId,
        /// Its address, as its token says.
        email: String,
    },
    /// Whoever has the secret of a guest basket.
    Guest {
        /// The secret.
        token: String,
    },
}

impl std::fmt::Debug for Shopper {
    /// Hides the secret and the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Customer { id, .. } => write!(f, "Customer({id})"),
            Self::Guest { .. } => f.write_str("Guest"),
        }
    }
}

impl Shopper {
    /// The account, when there is one.
    pub fn customer_id(&self) -> Option<CustomerId> {
        match self {
            Self::Customer { id, .. } => Some(*id),
            Self::Guest { .. } => None,
        }
    }

    /// As the basket service asks for it.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Customer { id, .. } => Owner::CustomerId(id.to_string()),
            Self::Guest { token } => Owner::GuestToken(token.clone()),
        }
    }

    /// Whose idempotency keys are meant: two shoppers may choose the same key. Does not hold the secret.
    pub fn scope(&self) -> String {
        match self {
            Self::Customer { id, .. } => format!("checkout:customer:{id}"),
            Self::Guest { token } => {
                let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
                format!("checkout:guest:{hash}")
            }
        }
    }
}

/// Extracts who buys. Somebody who is not signed in and has no basket has nothing to buy: 409 `basket_empty`.
impl<S: Send + Sync> FromRequestParts<S> for Shopper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if let Some(account) = caller.account() {
            return Ok(Self::Customer { id: account.id, email: account.email.clone() });
        }
        guest_token(&parts.headers).map(|token| Self::Guest { token }).ok_or_else(basket_empty)
    }
}

/// 409: there is nothing to buy.
pub(crate) fn basket_empty() -> Problem {
    Problem::new(ErrorCode::BasketEmpty).detail("Put a book into the basket first.")
}

fn guest_token(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).map(str::trim);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = header
        .into_iter()
        .chain(cookies.flat_map(|line| line.split(';')).filter_map(|c| c.trim().strip_prefix(TOKEN_COOKIE)));
    tokens.find(|token| (1..=MAX_TOKEN).contains(&token.len())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_secret_comes_as_header_or_cookie() {
        let mut headers = HeaderMap::new();
        assert_eq!(guest_token(&headers), None);
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; basket_token=from-cookie; c=d"));
        assert_eq!(guest_token(&headers).as_deref(), Some("from-cookie"));
        headers.insert(TOKEN_HEADER, HeaderValue::from_static("from-header"));
        assert_eq!(guest_token(&headers).as_deref(), Some("from-header"));
        headers.insert(TOKEN_HEADER, HeaderValue::from_static(""));
        assert_eq!(guest_token(&headers).as_deref(), Some("from-cookie"));
    }

    #[test]
    fn a_scope_tells_shoppers_apart_and_hides_their_secret() {
        let guest = |token: &str| Shopper::Guest { token: token.into() };
        assert_ne!(guest("one").scope(), guest("two").scope());
        assert!(!guest("one").scope().contains("one"));
        assert!(!format!("{:?}", guest("one")).contains("one"));
    }
}
