//! Look-ups in the shop: through its public API, in this process, with the customer's own rights alone.

use std::{sync::OnceLock, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bookworm_contracts::rest::{
    Page,
    catalog::{Book, Recommendations, SearchResponse},
    ordering::{CancelRequest, Order, PaymentMethod, ShippingMethod},
};
use bookworm_kernel::{BookId, Cause, OrderId};
use bookworm_resilience::{Failure, Fault, Guard, Policy};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use tower::ServiceExt;

use super::Rights;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 2 << 20;
/// The timeout of a change: long, so that it is not abandoned half-way.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a look-up failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// There is no such thing, or it is not the customer's.
    #[error("not found")]
    NotFound,
    /// The customer is not signed in, or no longer.
    #[error("not signed in")]
    NotSignedIn,
    /// It refused, with this code.
    #[error("refused: {0}")]
    Refused(String),
    /// It timed out, or its answer is not valid.
    #[error("unavailable")]
    Unavailable,
}

pub(super) type Lookup<T> = Result<T, NoAnswer>;

/// The public API. Answers nothing until it is connected.
pub(super) struct Shop {
    api: OnceLock<Router>,
    orders: Guard,
    books: Guard,
    terms: Guard,
    changes: Guard,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Shop {
    /// `timeout` bounds each look-up.
    pub fn new(timeout: Duration) -> Self {
        let policy =
            |limit| Policy { attempt: limit, total: limit, attempts: 1, concurrency: 256, ..Policy::default() };
        Self {
            api: OnceLock::new(),
            orders: Guard::new("chat.orders", policy(timeout)),
            books: Guard::new("chat.books", policy(timeout)),
            terms: Guard::new("chat.terms", policy(timeout)),
            changes: Guard::new("chat.changes", policy(CHANGE_TIMEOUT)),
        }
    }

    /// Connects it to the API, once.
    pub fn connect(&self, api: Router) {
        let _ = self.api.set(api);
    }

    /// An order by its id, for its customer or with its key.
    pub async fn order(&self, asker: &Asker<'_>, id: OrderId, key: Option<&str>) -> Lookup<Order> {
        let path = format!("/orders/{id}");
        self.get(&self.orders, asker, path, key).await
    }

    /// The customer's own latest orders.
    pub async fn orders(&self, asker: &Asker<'_>, limit: usize) -> Lookup<Vec<Order>> {
        let page: Page<Order> =
            self.get(&self.orders, asker, format!("/orders?limit={limit}{}", asker.own()), None).await?;
        Ok(page.items)
    }

    /// One of the customer's own orders by its number for people.
    pub async fn order_by_number(&self, asker: &Asker<'_>, number: &str) -> Lookup<Order> {
        let path = format!("/orders?limit=1&q={}{}", encoded(number), asker.own());
        let page: Page<Order> = self.get(&self.orders, asker, path, None).await?;
        page.items.into_iter().find(|order| order.number == number).ok_or(NoAnswer::NotFound)
    }

    /// Cancels an order, with the customer's rights.
    pub async fn cancel(&self, asker: &Asker<'_>, id: OrderId, key: Option<&str>) -> Lookup<Order> {
        let body =
            CancelRequest { reason: Some("asked for in the support chat".to_owned()), ..CancelRequest::default() };
        let body = serde_json::to_vec(&body).map_err(|_| NoAnswer::Unavailable)?;
        self.ask(&self.changes, asker, Method::POST, format!("/orders/{id}/cancel"), key, body).await
    }

    /// The shipping methods.
    pub async fn shipping_methods(&self, asker: &Asker<'_>) -> Lookup<Vec<ShippingMethod>> {
        let page: Page<ShippingMethod> =
            self.get(&self.terms, &asker.anonymous(), "/shipping-methods".to_owned(), None).await?;
        Ok(page.items)
    }

    /// The payment methods.
    pub async fn payment_methods(&self, asker: &Asker<'_>) -> Lookup<Vec<PaymentMethod>> {
        let page: List<PaymentMethod> =
            self.get(&self.terms, &asker.anonymous(), "/payment-methods".to_owned(), None).await?;
        Ok(match page {
            List::Page(page) => page.items,
            List::Bare(items) => items,
        })
    }

    /// Books that match a query, best first.
    pub async fn search(&self, asker: &Asker<'_>, query: &str, limit: usize) -> Lookup<SearchResponse> {
        let path = format!("/search?limit={limit}&q={}", encoded(query));
        self.get(&self.books, &asker.anonymous(), path, None).await
    }

    /// Books similar to one.
    pub async fn similar(&self, asker: &Asker<'_>, book: BookId, limit: usize) -> Lookup<Vec<Book>> {
        let path = format!("/books/{book}/similar?limit={limit}");
        let page: Page<Book> = self.get(&self.books, &asker.anonymous(), path, None).await?;
        Ok(page.items)
    }

    /// Recommendations for this customer, or the most popular books.
    pub async fn recommendations(&self, asker: &Asker<'_>, limit: usize) -> Lookup<Recommendations> {
        self.get(&self.books, asker, format!("/recommendations?limit={limit}"), None).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        guard: &Guard,
        asker: &Asker<'_>,
        path: String,
        key: Option<&str>,
    ) -> Lookup<T> {
        self.ask(guard, asker, Method::GET, path, key, Vec::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        guard: &Guard,
        asker: &Asker<'_>,
        method: Method,
        path: String,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Lookup<T> {
        let Some(api) = self.api.get() else { return Err(NoAnswer::Unavailable) };
        let attempt = || {
            let request = asker.request(method.clone(), &path, key, body.clone());
            let api = api.clone();
            async move {
                let Ok(response) = api.oneshot(request?).await;
                let status = response.status();
                let body = to_bytes(response.into_body(), LONGEST_ANSWER).await.map_err(|_| NoAnswer::Unavailable)?;
                if status.is_success() {
                    return serde_json::from_slice(&body).map_err(|error| {
                        tracing::error!(%error, "the API's answer to the chat does not have the agreed shape");
                        NoAnswer::Unavailable
                    });
                }
                Err(match status {
                    StatusCode::NOT_FOUND => NoAnswer::NotFound,
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => NoAnswer::NotSignedIn,
                    status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                        NoAnswer::Unavailable
                    }
                    _ => NoAnswer::Refused(
                        serde_json::from_slice::<Code>(&body).map(|code| code.code).unwrap_or_default(),
                    ),
                })
            }
        };
        let fault = |error: &NoAnswer| match error {
            NoAnswer::Unavailable => Fault::Transient { after: None },
            _ => Fault::Caller,
        };
        guard.call(attempt, fault).await.map_err(|failure| match failure {
            Failure::Failed(error) => error,
            Failure::TimedOut | Failure::Refused { .. } | Failure::Busy => NoAnswer::Unavailable,
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum List<T> {
    Page(Page<T>),
    Bare(Vec<T>),
}

/// The rights with which the shop is called, and the cause of the call.
pub(super) struct Asker<'a> {
    pub rights: &'a Rights,
    pub cause: &'a Cause,
}

static NOBODY: Rights = Rights { access_token: None };

impl Asker<'_> {
    /// The same without rights, for what is the same for everybody.
    fn anonymous(&self) -> Asker<'_> {
        Asker { rights: &NOBODY, cause: self.cause }
    }

    /// Restricts staff, who may see all orders, to their own. The token's content is not trusted here: the API verifies
    /// it, and refuses others' orders to everybody else.
    fn own(&self) -> String {
        #[derive(Deserialize)]
        struct Subject {
            sub: uuid::Uuid,
        }
        let subject = || {
            let payload = self.rights.access_token.as_ref()?.split('.').nth(1)?;
            let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
            serde_json::from_slice::<Subject>(&payload).ok()
        };
        subject().map(|subject| format!("&customer_id={}", subject.sub)).unwrap_or_default()
    }

    fn request(&self, method: Method, path: &str, key: Option<&str>, body: Vec<u8>) -> Lookup<Request<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|_| NoAnswer::Unavailable)?;
        let headers = request.headers_mut();
        let secret = |text: String| {
            let mut value = HeaderValue::try_from(text).map_err(|_| NoAnswer::NotSignedIn)?;
            value.set_sensitive(true);
            Ok::<_, NoAnswer>(value)
        };
        if let Some(token) = &self.rights.access_token {
            headers.insert(header::AUTHORIZATION, secret(format!("Bearer {token}"))?);
        }
        if let Some(key) = key {
            headers.insert(HeaderName::from_static("order-key"), secret(key.to_owned())?);
        }
        for (name, value) in
            [("x-correlation-id", self.cause.correlation_id.to_string()), ("traceparent", self.cause.trace.to_string())]
        {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(request)
    }
}

/// Percent-encodes all but letters, digits, `-`, `_`, `.` and `~` (RFC 3986, 2.3).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
