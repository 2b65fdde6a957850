use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::{header, request::Parts};

/// The secret of the basket that the client filled as a guest: header `Basket-Token`, else cookie `basket_token`. Not
/// checked here: the basket service does that.
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
