//! Whose basket a request means, and how the guest learns their secret.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bookworm_http::{ApiJson, Origin, Problem, Result, auth::Caller};
use bookworm_kernel::{Cause, CustomerId};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use crate::{
    domain::GuestToken,
    service::{Baskets, Settings},
    store::Owner,
};

/// Carries a guest's secret, in both directions.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("basket-token");
const COOKIE: &str = "basket_token";
/// Set to `1` on an answer whose prices and availability are those seen last, because the catalogue did not answer.
const DEGRADED: HeaderName = HeaderName::from_static("basket-degraded");

/// Who shops. Never refuses a guest's token: one that is malformed or unknown is as good as none.
#[derive(Debug)]
pub(crate) struct Shopper {
    /// The account, when signed in.
    pub customer: Option<CustomerId>,
    /// A guest's secret, when one was sent; the header goes before the cookie.
    pub guest: Option<GuestToken>,
    /// Why the request happens.
    pub cause: Cause,
}

impl FromRequestParts<Arc<Baskets>> for Shopper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Baskets>) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, service).await?;
        let Ok(Origin(cause)) = Origin::from_request_parts(parts, service).await;
        Ok(Self { customer: caller.id(), guest: guest_token(&parts.headers), cause })
    }
}

fn guest_token(headers: &HeaderMap) -> Option<GuestToken> {
    let header = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).and_then(GuestToken::parse);
    header.or_else(|| {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
            .find_map(GuestToken::parse)
    })
}

/// What the client is to do with the guest's secret.
#[derive(Debug)]
pub(crate) enum Secret {
    /// Nothing.
    Unchanged,
    /// Store this one.
    Set(GuestToken),
    /// Delete it: its basket is the account's now.
    Clear,
}

impl Baskets {
    /// Whose basket to read or change. Signed in with a guest's secret, the guest's lines come over first.
    pub(crate) async fn owner(&self, shopper: &Shopper) -> Result<(Option<Owner>, Secret)> {
        match (shopper.customer, &shopper.guest) {
            (Some(customer), None) => Ok((Some(Owner::Customer(customer)), Secret::Unchanged)),
            (Some(customer), Some(guest)) => {
                self.merge_guest(customer, guest).await?;
                Ok((Some(Owner::Customer(customer)), Secret::Clear))
            }
            (None, Some(guest)) => Ok((Some(Owner::Guest(guest.hash())), Secret::Unchanged)),
            (None, None) => Ok((None, Secret::Unchanged)),
        }
    }
}

/// An answer that shows a basket.
#[derive(Debug)]
pub(crate) struct Answer {
    pub basket: bookworm_contracts::rest::basket::Basket,
    pub secret: Secret,
    /// Whether the catalogue did not answer.
    pub degraded: bool,
    pub settings: Settings,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = ApiJson(self.basket).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        if self.degraded {
            headers.insert(DEGRADED, HeaderValue::from_static("1"));
        }
        let (value, age) = match &self.secret {
            Secret::Unchanged => return response,
            Secret::Set(token) => (token.reveal(), self.settings.guest_age().as_secs()),
            Secret::Clear => (String::new(), 0),
        };
        let secure = if self.settings.secure_cookies { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        // Base64url and numbers are visible ASCII, so both values are always taken.
        if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
            cookie.set_sensitive(true);
            headers.append(header::SET_COOKIE, cookie);
        }
        if let (false, Ok(mut value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            headers.insert(TOKEN_HEADER, value);
        }
        response
    }
}
