//! The public API as a customer, a guest or staff uses it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bookworm_contracts::rest::{
    Page,
    basket::{AddItem, Basket},
    catalog::Book,
    identity::{RegisterRequest, TokenRequest, TokenResponse},
    ordering::{Address, CheckoutRequest, PaymentInput, ShippingMethod},
};
use bookworm_kernel::{BookId, Quantity};
use bytes::Bytes;
use http::Method;
use serde::{Serialize, de::DeserializeOwned};

use crate::client::{Answer, Client, Tally};

/// The most pages of one list that are read.
const MAX_PAGES: usize = 10_000;

/// Somebody at the shop: a connection, and who they are.
#[derive(Debug)]
pub struct Visitor {
    client: Client,
    /// Says who is signed in.
    bearer: Option<String>,
    /// A guest's basket.
    pub basket_token: Option<String>,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// No answer came: it may or may not have been done.
    Lost(anyhow::Error),
    /// The shop refused, or failed.
    Refused(Answer),
}

impl Failure {
    /// Whether the same request may be answered otherwise when it is sent again.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Refused(answer) => {
                answer.status.is_server_error()
                    || answer.status.as_u16() == 429
                    || matches!(answer.code().as_str(), "request_in_progress" | "concurrent_change")
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "no answer: {error:#}"),
            Self::Refused(answer) => write!(f, "{}", answer.excerpt()),
        }
    }
}

impl std::error::Error for Failure {}

impl Visitor {
    /// A guest without a basket.
    pub fn new(address: SocketAddr) -> Self {
        Self::counted(address, Tally::default())
    }

    /// The same; what they are answered is counted there.
    pub fn counted(address: SocketAddr, tally: Tally) -> Self {
        Self { client: Client::counted(address, tally), bearer: None, basket_token: None }
    }

    /// The access token, when they are signed in.
    pub fn access_token(&self) -> Option<&str> {
        self.bearer.as_deref()?.strip_prefix("Bearer ")
    }

    /// Goes on at another address, as the same person.
    pub fn moves_to(&mut self, address: SocketAddr) {
        self.client = self.client.another(address);
    }

    /// The same person on another connection.
    pub fn second_connection(&self, address: SocketAddr) -> Self {
        Self {
            client: self.client.another(address),
            bearer: self.bearer.clone(),
            basket_token: self.basket_token.clone(),
        }
    }

    /// Sends a request as who they are.
    ///
    /// # Errors
    /// [`Failure::Lost`] when no answer came. Every answer is `Ok`.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        extra: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut headers = extra.to_vec();
        if let Some(bearer) = &self.bearer {
            headers.push(("authorization", bearer));
        }
        if let Some(token) = &self.basket_token {
            headers.push(("basket-token", token));
        }
        let answer = self.client.send(method, path, &headers, body).await.map_err(Failure::Lost)?;
        if self.bearer.is_none()
            && let Some(token) = answer.header("basket-token")
        {
            self.basket_token = Some(token.to_owned());
        }
        Ok(answer)
    }

    async fn value<T: DeserializeOwned>(&mut self, method: Method, path: &str, body: Bytes) -> Result<T, Failure> {
        let answer = self.send(method, path, &[], body).await?;
        if !answer.status.is_success() {
            return Err(Failure::Refused(answer));
        }
        answer.json().map_err(Failure::Lost)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        self.value(Method::GET, path, Bytes::new()).await
    }

    /// Posts a value and reads one.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::Lost(error.into()))?;
        self.value(Method::POST, path, body.into()).await
    }

    /// Posts a value that counts stock or money.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn post_once(&mut self, path: &str, body: &impl Serialize) -> Result<(), Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::Lost(error.into()))?;
        let key = uuid::Uuid::new_v4().to_string();
        let answer = self.send(Method::POST, path, &[("idempotency-key", &key)], body.into()).await?;
        if answer.status.is_success() { Ok(()) } else { Err(Failure::Refused(answer)) }
    }

    /// Reads every page of a list. `path` has no `limit` and no `cursor`.
    ///
    /// # Errors
    /// When a page does not come, or there are too many.
    pub async fn all<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        let separator = if path.contains('?') { '&' } else { '?' };
        for _ in 0..MAX_PAGES {
            let page: Page<T> =
                self.get(&format!("{path}{separator}limit=100{cursor}")).await.with_context(|| path.to_owned())?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
        anyhow::bail!("{path} does not end")
    }

    /// Makes an account; one that is there already is as good.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn register(&mut self, email: &str, password: &str) -> Result<(), Failure> {
        let body =
            RegisterRequest { email: email.to_owned(), password: password.to_owned(), name: "Bench Buyer".to_owned() };
        match self.post::<serde_json::Value>("/api/v1/identity/register", &body).await {
            Err(Failure::Refused(answer)) if answer.code() == "email_taken" => Ok(()),
            other => other.map(drop),
        }
    }

    /// Signs in.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Result<(), Failure> {
        let body = TokenRequest::Password { email: email.to_owned(), password: password.to_owned() };
        self.bearer = None;
        let token: TokenResponse = self.post("/api/v1/identity/token", &body).await?;
        self.bearer = Some(format!("Bearer {}", token.access_token));
        self.basket_token = None;
        Ok(())
    }

    /// Adds copies of a book to the basket.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn add(&mut self, book_id: BookId, quantity: Quantity) -> Result<Basket, Failure> {
        self.post("/api/v1/basket/items", &AddItem { book_id, quantity }).await
    }

    /// The basket.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn basket(&mut self) -> Result<Basket, Failure> {
        self.get("/api/v1/basket").await
    }

    /// Empties the basket.
    ///
    /// # Errors
    /// When there is no good answer.
    pub async fn empty_basket(&mut self) -> Result<(), Failure> {
        let answer = self.send(Method::DELETE, "/api/v1/basket", &[], Bytes::new()).await?;
        if answer.status.is_success() { Ok(()) } else { Err(Failure::Refused(answer)) }
    }

    /// Checks the basket out.
    ///
    /// # Errors
    /// [`Failure::Lost`] when no answer came. Every answer is `Ok`.
    pub async fn checkout(&mut self, key: &str, request: &CheckoutRequest) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(request).map_err(|error| Failure::Lost(error.into()))?;
        self.send(Method::POST, "/api/v1/orders/checkout", &[("idempotency-key", key)], body.into()).await
    }
}

/// A checkout by the given method, paid with the given card, marked so that its order can be recognised.
pub fn checkout_request(email: Option<&str>, shipping_method: &str, token: &str, mark: &str) -> CheckoutRequest {
    CheckoutRequest {
        email: email.map(str::to_owned),
        shipping_address: Address {
            name: "Bench Buyer".to_owned(),
            line1: "1 Loopback Lane".to_owned(),
            line2: Some(mark.to_owned()),
            city: "Berkeley".to_owned(),
            region: Some("CA".to_owned()),
            postal_code: "94704".to_owned(),
            country: "US".to_owned(),
        },
        shipping_method: shipping_method.to_owned(),
        payment: Some(PaymentInput { token: token.to_owned() }),
        expected_total: None,
        coupon: None,
    }
}

/// What buyers need to know of a shop.
#[derive(Debug, Clone)]
pub struct Range {
    /// Every book.
    pub books: Vec<BookId>,
    /// Their titles.
    pub titles: Vec<String>,
    /// A way to deliver to the United States.
    pub shipping_method: String,
    /// A code that some of them use.
    pub coupon: Option<String>,
}

impl Range {
    /// Looks around.
    ///
    /// # Errors
    /// When there are no books, or nothing is delivered to the United States.
    pub async fn of(address: SocketAddr) -> Result<Self> {
        let mut visitor = Visitor::new(address);
        let books: Vec<Book> = visitor.all("/api/v1/books").await?;
        anyhow::ensure!(!books.is_empty(), "the shop has no books");
        let methods: serde_json::Value = visitor.get("/api/v1/shipping-methods").await?;
        // A list, or a page of one.
        let methods: Vec<ShippingMethod> = serde_json::from_value(methods.get("items").unwrap_or(&methods).clone())?;
        let serves =
            |method: &&ShippingMethod| method.countries.is_empty() || method.countries.iter().any(|c| c == "US");
        let shipping_method =
            methods.iter().find(serves).context("nothing is delivered to the United States")?.code.clone();
        let (books, titles) = books.into_iter().map(|book| (book.id, book.title)).unzip();
        Ok(Self { books, titles, shipping_method, coupon: None })
    }
}
