//! Who may see and change an order.

use std::{convert::Infallible, sync::Arc};

use axum::extract::{FromRequestParts, Query};
use bookworm_contracts::rest::ordering::Order;
use bookworm_http::{
    Problem, Result,
    auth::{AccountClaims, Caller},
};
use bookworm_kernel::OrderId;
use http::request::Parts;
use serde::Deserialize;

use crate::{
    domain::event::{Actor, Author},
    service::Ordering,
    store::{self, document::Document, orders::StoredOrder},
};

/// The header that carries an order's key, for those who do not want it in addresses.
const KEY_HEADER: &str = "order-key";

/// Whoever asks for an order: signed in, or with the key from the mail (`?key=` or the header `Order-Key`).
#[derive(Debug)]
pub(crate) struct Visitor {
    caller: Caller,
    key: Option<OrderKey>,
}

/// The key of an order, as somebody sent it. Not printed.
pub(crate) struct OrderKey(String);

impl std::fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderKey(hidden)")
    }
}

#[derive(Deserialize)]
struct KeyParam {
    #[serde(default)]
    key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for OrderKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get(KEY_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query = || Query::<KeyParam>::try_from_uri(&parts.uri).ok().and_then(|Query(params)| params.key);
        Ok(Self(header.or_else(query).unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let Ok(key) = OrderKey::from_request_parts(parts, state).await;
        Ok(Self { caller, key: Some(key).filter(|key| !key.0.is_empty()) })
    }
}

/// As whom an account stands in an order's history.
pub(crate) fn author(account: &AccountClaims) -> Author {
    Author { id: account.id, name: account.name.clone() }
}

/// What somebody is to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Ordered it, or has its key.
    Owner,
    /// Works for the shop.
    Staff,
}

impl Access {
    /// On whose behalf an order is changed.
    pub fn actor(self) -> Actor {
        match self {
            Self::Owner => Actor::Customer,
            Self::Staff => Actor::Staff,
        }
    }
}

impl Visitor {
    /// Whose account it is, when somebody is signed in.
    pub fn author(&self) -> Option<Author> {
        self.caller.account().map(author)
    }

    /// What the visitor is to an order.
    ///
    /// # Errors
    /// 404 `not_found` when there is no such order or the visitor may not know that there is.
    pub async fn find(&self, service: &Arc<Ordering>, id: OrderId) -> Result<Access> {
        let unknown = || Problem::not_found("order");
        let found = store::orders::find(service.db.read(), id).await?.ok_or_else(unknown)?;
        self.access(service, id, &found).ok_or_else(unknown)
    }

    fn access(&self, service: &Arc<Ordering>, id: OrderId, found: &StoredOrder) -> Option<Access> {
        let own = self.caller.id().is_some_and(|caller| found.customer_id == Some(caller.uuid()));
        let opened = || self.key.as_ref().is_some_and(|OrderKey(key)| service.keys.opens(id, key));
        if own || opened() { Some(Access::Owner) } else { self.caller.is_staff().then_some(Access::Staff) }
    }
}

impl Access {
    /// The order as the API shows it, with its key for those who have that anyway.
    pub fn reveal(self, service: &Arc<Ordering>, order: Document) -> Order {
        let mut order = Order::from(order);
        if self == Self::Owner {
            order.access_key = Some(service.keys.key(order.id));
        }
        order
    }
}
